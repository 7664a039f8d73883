// BF16: the upper half of a binary32, ties to even. Held by
// tests/local_engine/quant/formats_test.cc.

#include "local_engine/base/half.h"
#include "local_engine/quant/block_format.h"

namespace nearfar {
namespace {

struct BlockBF16 {
  uint8_t bytes[2];
};

void EncodeBF16(const float* x, BlockBF16* block) {
  const uint16_t bits = FloatToBFloat16(*x);
  block->bytes[0] = static_cast<uint8_t>(bits);
  block->bytes[1] = static_cast<uint8_t>(bits >> 8);
}

void DecodeBF16(const BlockBF16& block, float* x) {
  *x = BFloat16ToFloat(static_cast<uint16_t>(block.bytes[0] | block.bytes[1] << 8));
}

}  // namespace

extern const QuantFormat kBF16Format =
    BlockFormat<BlockBF16, 1, EncodeBF16, DecodeBF16>::Make(DType::kBF16, "BF16");

}  // namespace nearfar
