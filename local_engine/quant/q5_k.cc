// Q5_K: Q4_K with a fifth bit for each weight.
// The layout is drawn in blocks.h. Held by tests/local_engine/quant/formats_test.cc.

#include <algorithm>

#include "local_engine/quant/block_format.h"
#include "local_engine/quant/blocks.h"
#include "local_engine/quant/scales_k.h"

namespace nearfar {
namespace {

void EncodeQ5_K(const float* x, BlockQ5_K* block) {
  uint8_t quants[kSuperBlock];
  EncodeAffineSuperBlock(x, 31, &block->d, &block->dmin, block->scales, quants);
  PackSuperNibbles(quants, block->quants);
  std::fill_n(block->high_bits, 32, uint8_t{0});
  for (int i = 0; i < kSuperBlock; ++i) {
    block->high_bits[i % 32] |= static_cast<uint8_t>((quants[i] >> 4) << (i / 32));
  }
}

void DecodeQ5_K(const BlockQ5_K& block, float* x) {
  uint8_t quants[kSuperBlock];
  UnpackSuperNibbles(block.quants, quants);
  for (int i = 0; i < kSuperBlock; ++i) {
    quants[i] |= static_cast<uint8_t>(((block.high_bits[i % 32] >> (i / 32)) & 1) << 4);
  }
  DecodeAffineSuperBlock(block.d.Get(), block.dmin.Get(), block.scales, quants, x);
}

}  // namespace

extern const QuantFormat kQ5_KFormat =
    BlockFormat<BlockQ5_K, kSuperBlock, EncodeQ5_K, DecodeQ5_K>::Make(DType::kQ5_K, "Q5_K");

}  // namespace nearfar
