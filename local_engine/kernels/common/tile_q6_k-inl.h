// Q6_K: weight = d * scale[j] * (q - 32), blocks of 256 columns in 210 bytes:
//   0    ql: 2 x 64 bytes, the low four bits
//   128  qh: 2 x 32 bytes, the upper two bits
//   192  16 signed scales, one for 16 columns
//   208  d, F16
// Of each half (128 columns) quarter 0 is in the low bits of ql[0..31], 1 of ql[32..63], 2 and 3 in
// their high bits; bits 2k and 2k + 1 of qh[i] belong to column i of quarter k.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q6_K_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q6_K_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/tile_q4_k-inl.h"

namespace nearfar::kernels {
namespace {

struct Q6_K {
  static constexpr int kBits = 6, kScales = 2, kColumns = 256, kBlockBytes = 210, kTiles = 4;
  static constexpr bool kOffset = true;
  struct Header {
    NEARFAR_INLINE Header(const Rows& rows, int64_t at) {
      Transpose16(rows, at + 192, scales);
      Bytes tail[4];
      Transpose16(rows, at + 194, tail);
      d = HighHalf(tail[3]);
    }
    Bytes scales[4];
    F32 d;
  };
  static NEARFAR_INLINE void Decode(const Header& header, const Rows& rows, int64_t at, int part,
                                    Tile<2, true>* out) {
    for (int i = 0; i < 2; ++i) {
      Bytes near[4], far[4], high[4];
      Transpose16(rows, at + 64 * part + 16 * i, near);
      Transpose16(rows, at + 64 * part + 32 + 16 * i, far);
      Transpose16(rows, at + 128 + 32 * part + 16 * i, high);
      for (int k = 0; k < 4; ++k) Unpack(near[k], far[k], high[k], 4 * i + k, out);
    }
    for (int tile = 0; tile < 4; ++tile) PutScales(header, 8 * part + 2 * tile, &out[tile]);
  }

 private:
  static NEARFAR_INLINE void Unpack(Bytes near, Bytes far, Bytes high, int i, Tile<2, true>* out) {
    const Bytes four = SetBytes(0x0f), two = SetBytes(0x30);
    out[0].w[i] = Or(And(near, four), And(ShiftLeft<4>(high), two));
    out[1].w[i] = Or(And(far, four), And(ShiftLeft<2>(high), two));
    out[2].w[i] = Or(And(ShiftRight<4>(near), four), And(high, two));
    out[3].w[i] = Or(And(ShiftRight<4>(far), four), And(ShiftRight<2>(high), two));
  }
  static NEARFAR_INLINE void PutScales(const Header& header, int first, Tile<2, true>* out) {
    for (int i = 0; i < 2; ++i) {
      const int scale = first + i;
      out->scale[i] = Mul(header.d, PickByte<SignedBytes>(header.scales[scale / 4], scale % 4));
      out->offset[i] = Mul(out->scale[i], Set(-32.0f));
    }
  }
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q6_K_INL_H_
