// Q4_K: weight = d * scale[j] * q - dmin * min[j], blocks of 256 columns in 144 bytes:
//   0   d, F16    2  dmin, F16
//   4   12 bytes: eight scales and eight minima of 6 bits (KScales)
//   16  4 x 32 bytes: sub-block 2g in the low, 2g + 1 in the high four bits of chunk g

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q4_K_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q4_K_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/tile-inl.h"

namespace nearfar::kernels {
namespace {

template <typename Function>
NEARFAR_INLINE F32 PickByte(Bytes word, int byte) {
  switch (byte) {
    case 0:
      return Function::template At<0>(word);
    case 1:
      return Function::template At<1>(word);
    case 2:
      return Function::template At<2>(word);
    default:
      return Function::template At<3>(word);
  }
}
struct UnsignedBytes {
  template <int kByte>
  static NEARFAR_INLINE F32 At(Bytes word) {
    return UnsignedByte<kByte>(word);
  }
};
struct SignedBytes {
  template <int kByte>
  static NEARFAR_INLINE F32 At(Bytes word) {
    return SignedByte<kByte>(word);
  }
};

// The head of a Q4_K or Q5_K block. Bytes 0..3 of the 12 hold scales 0..3 and 4..7 minima 0..3 in
// their low six bits; bytes 8..11 hold the low four bits of scales 4..7 (low) and minima 4..7
// (high), whose upper two bits are the upper two of bytes 0..3 and 4..7.
struct KScales {
  NEARFAR_INLINE KScales(const Rows& rows, int64_t at) {
    Bytes head[4];
    Transpose16(rows, at, head);
    d = LowHalf(head[0]);
    minus_dmin = Sub(Set(0.0f), HighHalf(head[0]));
    const Bytes six = SetBytes(0x3f), four = SetBytes(0x0f), two = SetBytes(0x30);
    scales[0] = And(head[1], six);
    minima[0] = And(head[2], six);
    scales[1] = Or(And(head[3], four), And(ShiftRight<2>(head[1]), two));
    minima[1] = Or(And(ShiftRight<4>(head[3]), four), And(ShiftRight<2>(head[2]), two));
  }
  NEARFAR_INLINE void Put(int sub_block, Tile<1, true>* out) const {
    const int word = sub_block / 4, byte = sub_block % 4;
    out->scale[0] = Mul(d, PickByte<UnsignedBytes>(scales[word], byte));
    out->offset[0] = Mul(minus_dmin, PickByte<UnsignedBytes>(minima[word], byte));
  }

  F32 d, minus_dmin;
  Bytes scales[2], minima[2];
};

struct Q4_K {
  static constexpr int kBits = 4, kScales = 1, kColumns = 256, kBlockBytes = 144, kTiles = 2;
  static constexpr bool kOffset = true;
  using Header = KScales;
  static NEARFAR_INLINE void Decode(const Header& header, const Rows& rows, int64_t at, int part,
                                    Tile<1, true>* out) {
    Bytes packed[8];
    Transpose16(rows, at + 16 + 32 * part, packed);
    Transpose16(rows, at + 32 + 32 * part, packed + 4);
    const Bytes mask = SetBytes(15);
    for (int i = 0; i < 8; ++i) {
      out[0].w[i] = And(packed[i], mask);
      out[1].w[i] = And(ShiftRight<4>(packed[i]), mask);
    }
    header.Put(2 * part, &out[0]);
    header.Put(2 * part + 1, &out[1]);
  }
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q4_K_INL_H_
