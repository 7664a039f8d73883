// Dot products out of registers and nothing else: how fast an instruction set multiplies 4-bit
// weights by 8-bit activations when no memory, no scale and no decoding holds it up.
//
// kDotChains sums, of as many tokens and one group of rows, do not wait for each other. All weights
// are one, and a token's values add up to one: so a round adds one to each sum, nothing wraps, and
// the result tells that all of it was computed. Include after a simd.h. Held by
// tests/local_engine/kernels/dot_peak_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_DOT_PEAK_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_DOT_PEAK_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/unroll-inl.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar::kernels {
namespace {

constexpr int64_t kDotRoundOps = int64_t{2} * kActivationBlock * kDotChains * kLanes;

struct PeakOperands {
  alignas(64) uint8_t weights[4 * kLanes];
  alignas(64) int8_t values[kDotChains][kActivationBlock];

  PeakOperands() {
    for (uint8_t& w : weights) w = 1;
    for (auto& token : values) {
      for (int i = 0; i < kActivationBlock; ++i) token[i] = i % 2 == 0 ? 1 : -1;
      token[kActivationBlock - 1] = 0;
    }
  }
};

NEARFAR_INLINE void AddRound(const PeakOperands& operands, I32 sums[kDotChains]) {
  const Bytes w = LoadBytes(operands.weights);
  Dot<4> dots[kDotChains];
  Unroll<kDotChains>([&](auto c) NEARFAR_LAMBDA_INLINE { dots[c.value].Begin(sums[c.value]); });
  Unroll<kActivationBlock / 4>([&](auto piece) NEARFAR_LAMBDA_INLINE {
    Unroll<kDotChains>([&](auto c) NEARFAR_LAMBDA_INLINE {
      dots[c.value].template Add<piece.value>(w, operands.values[c.value]);
    });
  });
  Unroll<kDotChains>([&](auto c) NEARFAR_LAMBDA_INLINE { sums[c.value] = dots[c.value].Sum(); });
}

NEARFAR_NOINLINE int64_t DotRounds(int64_t rounds) {
  const PeakOperands operands;
  I32 sums[kDotChains];
  for (I32& sum : sums) sum = SetInts(0);
  for (int64_t i = 0; i < rounds; ++i) {
    // As if they were others each time: what is known not to change would be computed once.
    asm volatile("" : : "r"(&operands) : "memory");
    AddRound(operands, sums);
  }
  int64_t total = 0;
  for (const I32& sum : sums) total += SumInts(sum);
  return total;
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_DOT_PEAK_INL_H_
