// Q6_K: 256 weights in sixteen sub-blocks of 16, symmetric, an 8-bit scale each.
// The layout is drawn in blocks.h. Held by tests/local_engine/quant/formats_test.cc.

#include <algorithm>

#include "local_engine/quant/block_format.h"
#include "local_engine/quant/blocks.h"
#include "local_engine/quant/fit.h"

namespace nearfar {
namespace {

constexpr int kSubBlocks = 16;
constexpr int kSubBlock = 16;
constexpr int kLevels = 32;

// Where weight i of a block stands.
struct Place {
  int low_byte;
  int low_shift;
  int high_byte;
  int high_shift;
};

Place PlaceOf(int i) {
  const int half = i / 128;
  const int group = i / 32 % 4;
  const int j = i % 32;
  return {64 * half + 32 * (group & 1) + j, group >= 2 ? 4 : 0, 32 * half + j, 2 * group};
}

void PackQ6(const uint8_t* quants, BlockQ6_K* block) {
  std::fill_n(block->low_bits, 128, uint8_t{0});
  std::fill_n(block->high_bits, 64, uint8_t{0});
  for (int i = 0; i < kSuperBlock; ++i) {
    const Place at = PlaceOf(i);
    block->low_bits[at.low_byte] |= static_cast<uint8_t>((quants[i] & 15) << at.low_shift);
    block->high_bits[at.high_byte] |= static_cast<uint8_t>((quants[i] >> 4) << at.high_shift);
  }
}

void EncodeQ6_K(const float* x, BlockQ6_K* block) {
  float fits[kSubBlocks];
  for (int s = 0; s < kSubBlocks; ++s) {
    float importance[kSubBlock];
    Importance(x + s * kSubBlock, kSubBlock, importance);
    fits[s] = FitSymmetric(x + s * kSubBlock, importance, kSubBlock, kLevels);
  }
  // As within Q4_0: the largest scale takes the grid's longer, negative end.
  block->d.Set(SignedPeak(fits, kSubBlocks) / -128);
  const float inverse_d = InverseOrZero(block->d.Get());
  uint8_t quants[kSuperBlock];
  for (int s = 0; s < kSubBlocks; ++s) {
    block->scales[s] = static_cast<int8_t>(RoundInto(fits[s] * inverse_d, -128, 127));
    const float inverse = InverseOrZero(block->d.Get() * static_cast<float>(block->scales[s]));
    for (int i = s * kSubBlock; i < (s + 1) * kSubBlock; ++i) {
      const int q = RoundInto(x[i] * inverse, -kLevels, kLevels - 1);
      quants[i] = static_cast<uint8_t>(q + kLevels);
    }
  }
  PackQ6(quants, block);
}

void DecodeQ6_K(const BlockQ6_K& block, float* x) {
  const float d = block.d.Get();
  for (int i = 0; i < kSuperBlock; ++i) {
    const Place at = PlaceOf(i);
    const int low = (block.low_bits[at.low_byte] >> at.low_shift) & 15;
    const int high = (block.high_bits[at.high_byte] >> at.high_shift) & 3;
    const int8_t sub_scale = block.scales[i / kSubBlock];
    const float scale = d * static_cast<float>(sub_scale);
    x[i] = scale * static_cast<float>((low | high << 4) - kLevels);
  }
}

}  // namespace

extern const QuantFormat kQ6_KFormat =
    BlockFormat<BlockQ6_K, kSuperBlock, EncodeQ6_K, DecodeQ6_K>::Make(DType::kQ6_K, "Q6_K");

}  // namespace nearfar
