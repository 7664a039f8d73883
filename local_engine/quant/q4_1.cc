// Q4_1: 32 weights, scale and offset: w = d * q + m, q in 0..15, m the least weight.
// Held by tests/local_engine/quant/formats_test.cc.

#include <algorithm>

#include "local_engine/quant/block_format.h"
#include "local_engine/quant/blocks.h"
#include "local_engine/quant/nibbles.h"

namespace nearfar {
namespace {

void EncodeQ4_1(const float* x, BlockQ4_1* block) {
  const auto [low, high] = std::minmax_element(x, x + kSmallBlock);
  const float d = (*high - *low) / 15;
  const float inverse = InverseOrZero(d);
  uint8_t q[kSmallBlock];
  for (int i = 0; i < kSmallBlock; ++i) q[i] = RoundInto((x[i] - *low) * inverse, 0, 15);
  block->d.Set(d);
  block->m.Set(*low);
  PackNibbles(q, block->quants);
}

void DecodeQ4_1(const BlockQ4_1& block, float* x) {
  const float d = block.d.Get();
  const float m = block.m.Get();
  uint8_t q[kSmallBlock];
  UnpackNibbles(block.quants, q);
  for (int i = 0; i < kSmallBlock; ++i) x[i] = static_cast<float>(q[i]) * d + m;
}

}  // namespace

extern const QuantFormat kQ4_1Format =
    BlockFormat<BlockQ4_1, kSmallBlock, EncodeQ4_1, DecodeQ4_1>::Make(DType::kQ4_1, "Q4_1");

}  // namespace nearfar
