// What an instruction set can do at most: multiply out of registers, and read a stream of memory.
// local_engine/limits.h times both. Include after a simd.h. Held by
// tests/local_engine/kernels/limits_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_LIMITS_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_LIMITS_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/unroll-inl.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar::kernels {
namespace {

// ---- Products of 4-bit weights and 8-bit activations that no memory, scale or decoding holds up.

// kDotChains sums, of as many tokens and one group of rows, do not wait for each other. All weights
// are one, and a token's values add up to one, whether it stands alone or by eights beside another
// (pair_panel-inl.h): so a round adds one to each sum, nothing wraps, and the result tells that all
// of it was computed.
constexpr int64_t kDotRoundOps = int64_t{2} * kActivationBlock * kDotChains * kLanes;

struct PeakOperands {
  alignas(64) uint8_t weights[4 * kLanes];
  alignas(64) int8_t values[kDotChains][2 * kActivationBlock];

  PeakOperands() {
    for (uint8_t& w : weights) w = 1;
    memset(values, 0, sizeof(values));
    for (auto& tokens : values) tokens[0] = tokens[kActivationBlock + 8] = 1;
  }
};

// kSteps of PeakDot make a block.
template <typename PeakDot, int kSteps>
NEARFAR_INLINE void AddRound(const PeakOperands& operands, I32 sums[kDotChains]) {
  const Bytes w = LoadBytes(operands.weights);
  PeakDot dots[kDotChains];
  Unroll<kDotChains>([&](auto c) NEARFAR_LAMBDA_INLINE { dots[c.value].Begin(sums[c.value]); });
  Unroll<kSteps>([&](auto step) NEARFAR_LAMBDA_INLINE {
    Unroll<kDotChains>([&](auto c) NEARFAR_LAMBDA_INLINE {
      dots[c.value].template Add<step.value>(w, operands.values[c.value]);
    });
  });
  Unroll<kDotChains>([&](auto c) NEARFAR_LAMBDA_INLINE { sums[c.value] = dots[c.value].Sum(); });
}

template <typename PeakDot, int kSteps>
NEARFAR_NOINLINE int64_t DotRounds(int64_t rounds) {
  const PeakOperands operands;
  I32 sums[kDotChains];
  for (I32& sum : sums) sum = SetInts(0);
  for (int64_t i = 0; i < rounds; ++i) {
    // As if they were others each time: what is known not to change would be computed once.
    asm volatile("" : : "r"(&operands) : "memory");
    AddRound<PeakDot, kSteps>(operands, sums);
  }
  int64_t total = 0;
  for (const I32& sum : sums) total += SumInts(sum);
  return total;
}

// ---- A stream: loads as wide as there are, and as little else as shows that they were done.

constexpr int kSumChains = 8;
static_assert(kSumGrain % (kSumChains * kLanes) == 0);

float SumStream(const float* x, int64_t n) {
  F32 sums[kSumChains];
  for (F32& sum : sums) sum = Set(0.0f);
  for (const float* const end = x + n; x != end; x += kSumChains * kLanes) {
    Unroll<kSumChains>([&](auto c) NEARFAR_LAMBDA_INLINE {
      sums[c.value] = Add(sums[c.value], Load(x + c.value * kLanes));
    });
  }
  for (int c = 1; c < kSumChains; ++c) sums[0] = Add(sums[0], sums[c]);
  return SumLanes(sums[0]);
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_LIMITS_INL_H_
