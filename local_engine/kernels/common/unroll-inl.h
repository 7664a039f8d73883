// Loops whose counter is a constant in every turn, so that arrays indexed by it live in registers.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_UNROLL_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_UNROLL_INL_H_

#include "local_engine/kernels/common/inline.h"

namespace nearfar::kernels {
namespace {

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

// Calls function(Constant<n>()) for n = 0 .. kEnd - 1.
template <int kEnd, int kBegin = 0, typename Function>
NEARFAR_INLINE void Unroll(Function function) {
  if constexpr (kBegin < kEnd) {
    function(Constant<kBegin>());
    Unroll<kEnd, kBegin + 1>(function);
  }
}

// Calls function(Constant<n>()) for the n in [1, kMost] that is given.
template <int kMost, typename Function>
NEARFAR_INLINE void WithCount(int n, Function function) {
  if constexpr (kMost > 1) {
    if (n < kMost) {
      WithCount<kMost - 1>(n, function);
      return;
    }
  }
  function(Constant<kMost>());
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_UNROLL_INL_H_
