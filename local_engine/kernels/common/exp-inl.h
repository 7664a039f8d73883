// e^x to about one unit in the last place of f32: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial
// for e^r, and n into the exponent (the classic reduction of Cody and Waite, the constants of the
// Cephes library's expf).
// Held by tests/local_engine/kernels/rows_test.cc (through silu_mul) and attention_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_EXP_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_EXP_INL_H_

#include "local_engine/kernels/common/inline.h"

namespace nearfar::kernels {
namespace {

// 0 below -87.3; saturates near 1.6e38 above 88; of what is no number, no number: where one operand
// of Max or Min is none, x86 gives the second.
NEARFAR_INLINE F32 Exp(F32 x) {
  const F32 least = Set(-87.3f);
  const F32 bounded = Max(least, Min(Set(88.0f), x));
  const I32 n = RoundToInt(Mul(bounded, Set(1.44269504f)));
  const F32 whole = ToFloat(n);
  F32 r = Fma(whole, Set(-0.693359375f), bounded);
  r = Fma(whole, Set(2.12194440e-4f), r);
  F32 p = Set(1.9875691500e-4f);
  p = Fma(p, r, Set(1.3981999507e-3f));
  p = Fma(p, r, Set(8.3334519073e-3f));
  p = Fma(p, r, Set(4.1665795894e-2f));
  p = Fma(p, r, Set(1.6666665459e-1f));
  p = Fma(p, r, Set(5.0000001201e-1f));
  p = Add(Fma(p, Mul(r, r), r), Set(1.0f));
  return ZeroWhereLess(Mul(p, PowerOfTwo(n)), x, least);
}

NEARFAR_INLINE float ExpOne(float x) {
  float lanes[kLanes];
  Store(lanes, Exp(Set(x)));
  return lanes[0];
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_EXP_INL_H_
