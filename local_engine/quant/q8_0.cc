// Q8_0: 32 weights, one scale, symmetric: w = d * q, q in -127..127.
// Held by tests/local_engine/quant/formats_test.cc.

#include <cmath>

#include "local_engine/quant/block_format.h"
#include "local_engine/quant/blocks.h"

namespace nearfar {
namespace {

void EncodeQ8_0(const float* x, BlockQ8_0* block) {
  const float d = std::fabs(SignedPeak(x, kSmallBlock)) / 127;
  const float inverse = InverseOrZero(d);
  for (int i = 0; i < kSmallBlock; ++i) {
    block->quants[i] = static_cast<int8_t>(RoundInto(x[i] * inverse, -127, 127));
  }
  block->d.Set(d);
}

void DecodeQ8_0(const BlockQ8_0& block, float* x) {
  const float d = block.d.Get();
  for (int i = 0; i < kSmallBlock; ++i) x[i] = static_cast<float>(block.quants[i]) * d;
}

}  // namespace

extern const QuantFormat kQ8_0Format =
    BlockFormat<BlockQ8_0, kSmallBlock, EncodeQ8_0, DecodeQ8_0>::Make(DType::kQ8_0, "Q8_0");

}  // namespace nearfar
