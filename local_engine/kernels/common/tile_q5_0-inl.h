// Q5_0: weight = d * (q - 16), blocks of 32 columns in 22 bytes:
//   0  d, F16
//   2  32 bits: bit i is the fifth bit of column i
//   6  16 bytes: column i in the low, column 16 + i in the high four bits of byte i

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q5_0_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q5_0_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/tile-inl.h"

namespace nearfar::kernels {
namespace {

// Puts the fifth bits of 32 columns into w.
NEARFAR_INLINE void AddFifthBits(Bytes bits, Bytes w[8]) {
  w[0] = Or(w[0], SixteenWhereBit<0>(bits));
  w[1] = Or(w[1], SixteenWhereBit<1>(bits));
  w[2] = Or(w[2], SixteenWhereBit<2>(bits));
  w[3] = Or(w[3], SixteenWhereBit<3>(bits));
  w[4] = Or(w[4], SixteenWhereBit<4>(bits));
  w[5] = Or(w[5], SixteenWhereBit<5>(bits));
  w[6] = Or(w[6], SixteenWhereBit<6>(bits));
  w[7] = Or(w[7], SixteenWhereBit<7>(bits));
}

struct Q5_0 {
  static constexpr int kBits = 5, kScales = 1, kColumns = 32, kBlockBytes = 22, kTiles = 1;
  static constexpr bool kOffset = true;
  struct Header {
    NEARFAR_INLINE Header(const Rows& rows, int64_t at) {}
  };
  static NEARFAR_INLINE void Decode(const Header& header, const Rows& rows, int64_t at, int part,
                                    Tile<1, true>* out) {
    Bytes packed[4];
    Transpose16(rows, at + 6, packed);
    SplitNibbles(packed, out->w);
    Bytes head[2];  // bytes 0..7: the scale, the fifth bits, and two bytes of `packed`
    Transpose8(rows, at, head);
    AddFifthBits(Or(ShiftRight<16>(head[0]), ShiftLeft<16>(head[1])), out->w);
    out->scale[0] = LowHalf(head[0]);
    out->offset[0] = Mul(out->scale[0], Set(-16.0f));
  }
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q5_0_INL_H_
