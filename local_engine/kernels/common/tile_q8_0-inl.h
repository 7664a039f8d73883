// Q8_0: weight = d * q with signed q, blocks of 32 columns in 34 bytes:
//   0  d, F16
//   2  32 signed bytes

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q8_0_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q8_0_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/tile-inl.h"

namespace nearfar::kernels {
namespace {

struct Q8_0 {
  static constexpr int kBits = 8, kScales = 1, kColumns = 32, kBlockBytes = 34, kTiles = 1;
  // Where the instruction set multiplies unsigned by signed only, the weights were shifted up.
  static constexpr bool kOffset = kSignedOffset != 0;
  struct Header {
    NEARFAR_INLINE Header(const Rows& rows, int64_t at) {}
  };
  static NEARFAR_INLINE void Decode(const Header& header, const Rows& rows, int64_t at, int part,
                                    Tile<1, kOffset>* out) {
    Transpose16(rows, at + 2, out->w);
    Transpose16(rows, at + 18, out->w + 4);
    for (Bytes& w : out->w) w = FromSigned(w);
    out->scale[0] = LowHalf(Transpose4(rows, at));
    SetOffset(out);
  }

 private:
  static NEARFAR_INLINE void SetOffset(Tile<1, false>* out) {}
  static NEARFAR_INLINE void SetOffset(Tile<1, true>* out) {
    out->offset[0] = Mul(out->scale[0], Set(-static_cast<float>(kSignedOffset)));
  }
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_Q8_0_INL_H_
