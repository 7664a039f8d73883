// A decoded piece of a weight matrix: 32 columns of kLanes rows.
//
// Every quantized format is brought to one form, weight = scale * w + offset with small unsigned
// integers w (or signed ones for Q8_0), so that one product serves them all:
//   sum weight * x  =  x.scale * scale * (sum w * value)  +  offset * x.sum
// A format is a struct with
//   kBits      width of w, as Dot<kBits> wants it
//   kScales    1 or 2: one scale and offset for 32 columns, or one for each 16
//   kOffset    whether there is an offset
//   kColumns   of its block in the file, and kBlockBytes
//   kTiles     tiles that one Decode gives; Decode is called kColumns / 32 / kTiles times a block
//   Header     what all tiles of a block share
// Include after a simd.h. Held by tests/local_engine/kernels/matmul_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_INL_H_

#include "local_engine/kernels/common/inline.h"

namespace nearfar::kernels {
namespace {

template <int kScales, bool kOffset>
struct Tile {
  Bytes w[8];  // w[i]: columns 4i .. 4i + 3
  F32 scale[kScales];
  F32 offset[kScales];
};
// Without an offset no byte of it is stored.
template <int kScales>
struct Tile<kScales, false> {
  Bytes w[8];
  F32 scale[kScales];
};

template <typename Format>
using TileOf = Tile<Format::kScales, Format::kOffset>;

// The low and high four bits of 16 bytes a row, as columns 0..15 and 16..31.
NEARFAR_INLINE void SplitNibbles(const Bytes packed[4], Bytes w[8]) {
  const Bytes mask = SetBytes(15);
  for (int i = 0; i < 4; ++i) {
    w[i] = And(packed[i], mask);
    w[4 + i] = And(ShiftRight<4>(packed[i]), mask);
  }
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_TILE_INL_H_
