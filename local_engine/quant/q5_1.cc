// Q5_1: 32 weights, scale and offset: w = d * q + m, q in 0..31, m the least weight.
// Held by tests/local_engine/quant/formats_test.cc.

#include <algorithm>

#include "local_engine/quant/block_format.h"
#include "local_engine/quant/blocks.h"
#include "local_engine/quant/nibbles.h"

namespace nearfar {
namespace {

void EncodeQ5_1(const float* x, BlockQ5_1* block) {
  const auto [low, high] = std::minmax_element(x, x + kSmallBlock);
  const float d = (*high - *low) / 31;
  const float inverse = InverseOrZero(d);
  uint8_t q[kSmallBlock];
  for (int i = 0; i < kSmallBlock; ++i) q[i] = RoundInto((x[i] - *low) * inverse, 0, 31);
  block->d.Set(d);
  block->m.Set(*low);
  PackNibbles(q, block->quants);
  PackFifthBits(q, block->high_bits);
}

void DecodeQ5_1(const BlockQ5_1& block, float* x) {
  const float d = block.d.Get();
  const float m = block.m.Get();
  uint8_t q[kSmallBlock];
  UnpackNibbles(block.quants, q);
  AddFifthBits(block.high_bits, q);
  for (int i = 0; i < kSmallBlock; ++i) x[i] = static_cast<float>(q[i]) * d + m;
}

}  // namespace

extern const QuantFormat kQ5_1Format =
    BlockFormat<BlockQ5_1, kSmallBlock, EncodeQ5_1, DecodeQ5_1>::Make(DType::kQ5_1, "Q5_1");

}  // namespace nearfar
