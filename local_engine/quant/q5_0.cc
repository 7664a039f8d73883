// Q5_0: 32 weights, one scale, symmetric: w = d * (q - 16), q in 0..31.
// As in Q4_0 the weight of largest magnitude becomes q = 0.
// Held by tests/local_engine/quant/formats_test.cc.

#include "local_engine/quant/block_format.h"
#include "local_engine/quant/blocks.h"
#include "local_engine/quant/nibbles.h"

namespace nearfar {
namespace {

void EncodeQ5_0(const float* x, BlockQ5_0* block) {
  const float d = SignedPeak(x, kSmallBlock) / -16;
  const float inverse = InverseOrZero(d);
  uint8_t q[kSmallBlock];
  for (int i = 0; i < kSmallBlock; ++i) q[i] = RoundInto(x[i] * inverse + 16, 0, 31);
  block->d.Set(d);
  PackNibbles(q, block->quants);
  PackFifthBits(q, block->high_bits);
}

void DecodeQ5_0(const BlockQ5_0& block, float* x) {
  const float d = block.d.Get();
  uint8_t q[kSmallBlock];
  UnpackNibbles(block.quants, q);
  AddFifthBits(block.high_bits, q);
  for (int i = 0; i < kSmallBlock; ++i) x[i] = static_cast<float>(q[i] - 16) * d;
}

}  // namespace

extern const QuantFormat kQ5_0Format =
    BlockFormat<BlockQ5_0, kSmallBlock, EncodeQ5_0, DecodeQ5_0>::Make(DType::kQ5_0, "Q5_0");

}  // namespace nearfar
