// Q5_1: weight = d * q + m, blocks of 32 columns in 24 bytes:
//   0  d, F16    2  m, F16
//   4  32 bits: bit i is the fifth bit of column i
//   8  16 bytes: column i in the low, column 16 + i in the high four bits of byte i

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q5_1_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q5_1_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/tile_q5_0-inl.h"

namespace nearfar::kernels {
namespace {

struct Q5_1 {
  static constexpr int kBits = 5, kScales = 1, kColumns = 32, kBlockBytes = 24, kTiles = 1;
  static constexpr bool kOffset = true;
  struct Header {
    NEARFAR_INLINE Header(const Rows& rows, int64_t at) {}
  };
  static NEARFAR_INLINE void Decode(const Header& header, const Rows& rows, int64_t at, int part,
                                    Tile<1, true>* out) {
    Bytes packed[4];
    Transpose16(rows, at + 8, packed);
    SplitNibbles(packed, out->w);
    Bytes head[2];
    Transpose8(rows, at, head);
    AddFifthBits(head[1], out->w);
    out->scale[0] = LowHalf(head[0]);
    out->offset[0] = HighHalf(head[0]);
  }
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q5_1_INL_H_
