// Super-blocks of Q4_K and Q5_K. Held by tests/local_engine/quant/formats_test.cc.

#include "local_engine/quant/scales_k.h"

#include <algorithm>

#include "local_engine/quant/block_format.h"
#include "local_engine/quant/fit.h"

namespace nearfar {
namespace {

constexpr int kSubBlocks = 8;
constexpr int kSubBlock = 32;
constexpr int kScaleLevels = 63;

}  // namespace

void EncodeAffineSuperBlock(const float* x, int levels, Half* d, Half* dmin, uint8_t scales[12],
                            uint8_t quants[kSuperBlock]) {
  AffineFit fits[kSubBlocks];
  float top_scale = 0;
  float top_offset = 0;
  for (int s = 0; s < kSubBlocks; ++s) {
    float importance[kSubBlock];
    Importance(x + s * kSubBlock, kSubBlock, importance);
    fits[s] = FitAffine(x + s * kSubBlock, importance, kSubBlock, levels);
    top_scale = std::max(top_scale, fits[s].scale);
    top_offset = std::max(top_offset, fits[s].offset);
  }
  d->Set(top_scale / kScaleLevels);
  dmin->Set(top_offset / kScaleLevels);
  const float inverse_d = InverseOrZero(d->Get());
  const float inverse_dmin = InverseOrZero(dmin->Get());
  std::fill_n(scales, 12, uint8_t{0});
  for (int s = 0; s < kSubBlocks; ++s) {
    const int scale = RoundInto(fits[s].scale * inverse_d, 0, kScaleLevels);
    const int offset = RoundInto(fits[s].offset * inverse_dmin, 0, kScaleLevels);
    PackScale({static_cast<uint8_t>(scale), static_cast<uint8_t>(offset)}, s, scales);
    const float inverse = InverseOrZero(d->Get() * static_cast<float>(scale));
    const float shift = dmin->Get() * static_cast<float>(offset);
    for (int i = s * kSubBlock; i < (s + 1) * kSubBlock; ++i) {
      quants[i] = static_cast<uint8_t>(RoundInto((x[i] + shift) * inverse, 0, levels));
    }
  }
}

void PackSuperNibbles(const uint8_t quants[kSuperBlock], uint8_t packed[128]) {
  for (int p = 0; p < 4; ++p) {
    for (int j = 0; j < 32; ++j) {
      packed[32 * p + j] =
          static_cast<uint8_t>((quants[64 * p + j] & 15) | (quants[64 * p + 32 + j] & 15) << 4);
    }
  }
}

void UnpackSuperNibbles(const uint8_t packed[128], uint8_t quants[kSuperBlock]) {
  for (int p = 0; p < 4; ++p) {
    for (int j = 0; j < 32; ++j) {
      quants[64 * p + j] = packed[32 * p + j] & 15;
      quants[64 * p + 32 + j] = packed[32 * p + j] >> 4;
    }
  }
}

void DecodeAffineSuperBlock(float d, float dmin, const uint8_t scales[12],
                            const uint8_t quants[kSuperBlock], float* x) {
  for (int s = 0; s < kSubBlocks; ++s) {
    const ScaleAndOffset packed = UnpackScale(scales, s);
    const float scale = d * static_cast<float>(packed.scale);
    const float offset = dmin * static_cast<float>(packed.offset);
    for (int i = s * kSubBlock; i < (s + 1) * kSubBlock; ++i) {
      x[i] = scale * static_cast<float>(quants[i]) - offset;
    }
  }
}

}  // namespace nearfar
