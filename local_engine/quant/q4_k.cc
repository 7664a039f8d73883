// Q4_K: 256 weights in eight sub-blocks of 32, each with a 6-bit scale and a 6-bit offset.
// The layout is drawn in blocks.h. Held by tests/local_engine/quant/formats_test.cc.

#include "local_engine/quant/block_format.h"
#include "local_engine/quant/blocks.h"
#include "local_engine/quant/scales_k.h"

namespace nearfar {
namespace {

void EncodeQ4_K(const float* x, BlockQ4_K* block) {
  uint8_t quants[kSuperBlock];
  EncodeAffineSuperBlock(x, 15, &block->d, &block->dmin, block->scales, quants);
  PackSuperNibbles(quants, block->quants);
}

void DecodeQ4_K(const BlockQ4_K& block, float* x) {
  uint8_t quants[kSuperBlock];
  UnpackSuperNibbles(block.quants, quants);
  DecodeAffineSuperBlock(block.d.Get(), block.dmin.Get(), block.scales, quants, x);
}

}  // namespace

extern const QuantFormat kQ4_KFormat =
    BlockFormat<BlockQ4_K, kSuperBlock, EncodeQ4_K, DecodeQ4_K>::Make(DType::kQ4_K, "Q4_K");

}  // namespace nearfar
