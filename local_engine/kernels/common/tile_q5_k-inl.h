// Q5_K: weight = d * scale[j] * q - dmin * min[j], blocks of 256 columns in 176 bytes:
//   0   d, F16    2  dmin, F16
//   4   12 bytes: eight scales and eight minima of 6 bits (KScales)
//   16  32 bytes: bit j of byte i is the fifth bit of column i of sub-block j
//   48  4 x 32 bytes: sub-block 2g in the low, 2g + 1 in the high four bits of chunk g

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q5_K_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q5_K_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/tile_q4_k-inl.h"

namespace nearfar::kernels {
namespace {

struct Q5_K {
  static constexpr int kBits = 5, kScales = 1, kColumns = 256, kBlockBytes = 176, kTiles = 2;
  static constexpr bool kOffset = true;
  struct Header {
    NEARFAR_INLINE Header(const Rows& rows, int64_t at) : scales(rows, at) {
      Transpose16(rows, at + 16, fifth);
      Transpose16(rows, at + 32, fifth + 4);
    }
    KScales scales;
    Bytes fifth[8];
  };
  static NEARFAR_INLINE void Decode(const Header& header, const Rows& rows, int64_t at, int part,
                                    Tile<1, true>* out) {
    Bytes packed[8];
    Transpose16(rows, at + 48 + 32 * part, packed);
    Transpose16(rows, at + 64 + 32 * part, packed + 4);
    switch (part) {
      case 0:
        Unpack<4, 3, 0, 0>(packed, header.fifth, out);
        break;
      case 1:
        Unpack<2, 1, 0, 0>(packed, header.fifth, out);
        break;
      case 2:
        Unpack<0, 0, 0, 1>(packed, header.fifth, out);
        break;
      default:
        Unpack<0, 0, 2, 3>(packed, header.fifth, out);
    }
    header.scales.Put(2 * part, &out[0]);
    header.scales.Put(2 * part + 1, &out[1]);
  }

 private:
  // Moves the fifth bit of the first sub-block up by kUp0 or down by kDown0 to bit 4, of the second
  // by kUp1 or kDown1.
  template <int kUp0, int kUp1, int kDown0, int kDown1>
  static NEARFAR_INLINE void Unpack(const Bytes packed[8], const Bytes fifth[8],
                                    Tile<1, true>* out) {
    const Bytes mask = SetBytes(15), bit = SetBytes(16);
    for (int i = 0; i < 8; ++i) {
      const Bytes first = ShiftRight<kDown0>(ShiftLeft<kUp0>(fifth[i]));
      const Bytes second = ShiftRight<kDown1>(ShiftLeft<kUp1>(fifth[i]));
      out[0].w[i] = Or(And(packed[i], mask), And(first, bit));
      out[1].w[i] = Or(And(ShiftRight<4>(packed[i]), mask), And(second, bit));
    }
  }
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q5_K_INL_H_
