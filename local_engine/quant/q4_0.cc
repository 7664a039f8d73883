// Q4_0: 32 weights, one scale, symmetric: w = d * (q - 8), q in 0..15.
// The weight of largest magnitude becomes exactly q = 0, so that the longer, negative side of the
// grid is used for it whatever its sign. Held by tests/local_engine/quant/formats_test.cc.

#include "local_engine/quant/block_format.h"
#include "local_engine/quant/blocks.h"
#include "local_engine/quant/nibbles.h"

namespace nearfar {
namespace {

void EncodeQ4_0(const float* x, BlockQ4_0* block) {
  const float d = SignedPeak(x, kSmallBlock) / -8;
  const float inverse = InverseOrZero(d);
  uint8_t q[kSmallBlock];
  for (int i = 0; i < kSmallBlock; ++i) q[i] = RoundInto(x[i] * inverse + 8, 0, 15);
  block->d.Set(d);
  PackNibbles(q, block->quants);
}

void DecodeQ4_0(const BlockQ4_0& block, float* x) {
  const float d = block.d.Get();
  uint8_t q[kSmallBlock];
  UnpackNibbles(block.quants, q);
  for (int i = 0; i < kSmallBlock; ++i) x[i] = static_cast<float>(q[i] - 8) * d;
}

}  // namespace

extern const QuantFormat kQ4_0Format =
    BlockFormat<BlockQ4_0, kSmallBlock, EncodeQ4_0, DecodeQ4_0>::Make(DType::kQ4_0, "Q4_0");

}  // namespace nearfar
