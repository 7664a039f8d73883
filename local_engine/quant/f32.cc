// F32: the identity. Held by tests/local_engine/quant/formats_test.cc.

#include <cstring>

#include "local_engine/quant/block_format.h"

namespace nearfar {
namespace {

struct BlockF32 {
  uint8_t bytes[4];
};

void EncodeF32(const float* x, BlockF32* block) { std::memcpy(block->bytes, x, sizeof(*x)); }
void DecodeF32(const BlockF32& block, float* x) { std::memcpy(x, block.bytes, sizeof(*x)); }

}  // namespace

extern const QuantFormat kF32Format =
    BlockFormat<BlockF32, 1, EncodeF32, DecodeF32>::Make(DType::kF32, "F32");

}  // namespace nearfar
