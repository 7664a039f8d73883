// Q4_1: weight = d * q + m, blocks of 32 columns in 20 bytes:
//   0  d, F16    2  m, F16
//   4  16 bytes: column i in the low, column 16 + i in the high four bits of byte i

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q4_1_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q4_1_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/tile-inl.h"

namespace nearfar::kernels {
namespace {

struct Q4_1 {
  static constexpr int kBits = 4, kScales = 1, kColumns = 32, kBlockBytes = 20, kTiles = 1;
  static constexpr bool kOffset = true;
  struct Header {
    NEARFAR_INLINE Header(const Rows& rows, int64_t at) {}
  };
  static NEARFAR_INLINE void Decode(const Header& header, const Rows& rows, int64_t at, int part,
                                    Tile<1, true>* out) {
    Bytes packed[4];
    Transpose16(rows, at + 4, packed);
    SplitNibbles(packed, out->w);
    const Bytes scales = Transpose4(rows, at);
    out->scale[0] = LowHalf(scales);
    out->offset[0] = HighHalf(scales);
  }
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q4_1_INL_H_
