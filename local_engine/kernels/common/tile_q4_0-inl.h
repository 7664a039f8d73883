// Q4_0: weight = d * (q - 8), blocks of 32 columns in 18 bytes:
//   0  d, F16
//   2  16 bytes: column i in the low, column 16 + i in the high four bits of byte i

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q4_0_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q4_0_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/tile-inl.h"

namespace nearfar::kernels {
namespace {

struct Q4_0 {
  static constexpr int kBits = 4, kScales = 1, kColumns = 32, kBlockBytes = 18, kTiles = 1;
  static constexpr bool kOffset = true;
  struct Header {
    NEARFAR_INLINE Header(const Rows& rows, int64_t at) {}
  };
  static NEARFAR_INLINE void Decode(const Header& header, const Rows& rows, int64_t at, int part,
                                    Tile<1, true>* out) {
    Bytes packed[4];
    Transpose16(rows, at + 2, packed);
    SplitNibbles(packed, out->w);
    out->scale[0] = LowHalf(Transpose4(rows, at));
    out->offset[0] = Mul(out->scale[0], Set(-8.0f));
  }
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q4_0_INL_H_
