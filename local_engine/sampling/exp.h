// e^x as sampling needs it: in few operations that compilers turn into vector code, and the same on
// every machine if it is compiled without fused multiply-adds (as sampler.cc is).
// Held by tests/local_engine/sampling/token_stats_test.cc and sampler_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_SAMPLING_EXP_H_
#define NEARFAR_LOCAL_ENGINE_SAMPLING_EXP_H_

#include <bit>

namespace nearfar {

// e^-87 is the smallest power that is a normal float; against a sum of at least 1 it is nothing.
inline constexpr float kLowestExponent = -87.0f;

// e^x for kLowestExponent <= x <= 0; relative error below 3e-7. 2^n times a polynomial for the rest
// r, which is at most ln(2)/2 away from 0. The caller bounds x, in a loop of its own: a comparison
// in here would keep g++ from vector code.
inline float ExpOfNonPositive(float x) {
  const int n = static_cast<int>(x * 1.44269504f - 0.5f);
  const float nf = static_cast<float>(n);
  const float r = (x - nf * 0.693145752f) - nf * 1.42860677e-6f;
  float p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * std::bit_cast<float>((n + 127) << 23);
}

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_SAMPLING_EXP_H_
