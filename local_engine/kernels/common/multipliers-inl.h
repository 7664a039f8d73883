// Multipliers of a vocabulary that multiplies a vector by a number of memory as easily as by
// another vector (x86), or that has no vectors of its own: they stay where they are. Included by
// such a simd.h. Held by tests/local_engine/kernels/attention_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MULTIPLIERS_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MULTIPLIERS_INL_H_

#include "local_engine/kernels/common/inline.h"

namespace nearfar::kernels {
namespace {

// kMultipliers numbers, by each of which whole vectors are multiplied.
constexpr int kMultipliers = 1;
struct Multipliers {
  const float* at;
};
NEARFAR_INLINE Multipliers LoadMultipliers(const float* from) { return {from}; }
// a[kWhich] * b + c
template <int kWhich>
NEARFAR_INLINE F32 FmaBy(Multipliers a, F32 b, F32 c) {
  return Fma(Set(a.at[kWhich]), b, c);
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MULTIPLIERS_INL_H_
