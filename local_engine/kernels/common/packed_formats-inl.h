// What the bits of each packed format mean, in one form, so that one product serves them all:
//   weight = scale * (w - kBias) + offset        with small integers w
//   sum weight * x = scale * x.scale * (sum w * value - kBias * sum value) + offset * x.sum
// A format is a struct with
//   Tile      of packing/tiles.h
//   kPairs    pairs of neighbouring blocks in a tile
//   kBits     width of w, as Dot<kBits> wants it
//   kBias     zero or a power of two
//   kScales   one scale for the 32 columns of a block, or one for each 16
//   kOffset   whether there is an offset
//   PiecesOf  eight pieces, of both blocks of a pair where kShared
//   Planes    a block's bits that stand elsewhere; LoadPlanes
//   Word      the w of columns 4 * kPiece .. 4 * kPiece + 3 of a block, of its piece and planes.
//   kRaw
//             lets the nibbles of a second block be 2^kRawHighBits times what they are, where that
//             is cheaper.
//   Scale, Offset
// `kHalf` says which block of the pair, `group` which kLanes rows of the strip.
// Include after a simd.h. Held by tests/local_engine/kernels/matmul_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_PACKED_FORMATS_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_PACKED_FORMATS_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/unroll-inl.h"
#include "local_engine/packing/tiles.h"

namespace nearfar::kernels {
namespace {

static_assert(kStripRows % kLanes == 0);
constexpr int kGroups = kStripRows / kLanes;

NEARFAR_INLINE Bytes LoadPiece(const uint8_t* piece, int group) {
  return LoadBytes(piece + 4 * kLanes * group);
}
NEARFAR_INLINE F32 LoadHalves(const uint16_t rows[kStripRows], int group) {
  return LoadHalf(rows + kLanes * group);
}

// Eight pieces.
using Pieces = const uint8_t (*)[kPieceBytes];

// ---- Where the bits are.

struct FourBits {
  static constexpr int kBits = 4;
  static constexpr bool kShared = true, kRawHalves = true;
  struct Planes {};
  template <int kHalf>
  static NEARFAR_INLINE Pieces PiecesOf(const PairOfFour& pair) {
    return pair.quants.pieces;
  }
  template <int kHalf>
  static NEARFAR_INLINE Planes LoadPlanes(const PairOfFour&, int) {
    return {};
  }
  template <int kHalf, bool kRaw, int kPiece>
  static NEARFAR_INLINE Bytes Word(Bytes packed, Planes) {
    if constexpr (kHalf == 0) return LowNibbles(packed);
    if constexpr (kRaw) return RawHighNibbles(packed);
    return HighNibbles(packed);
  }
};

struct FiveBits {
  static constexpr int kBits = 5;
  static constexpr bool kShared = true, kRawHalves = false;
  struct Planes {
    Bytes fifth;
  };
  template <int kHalf>
  static NEARFAR_INLINE Pieces PiecesOf(const PairOfFive& pair) {
    return pair.quants.pieces;
  }
  template <int kHalf>
  static NEARFAR_INLINE Planes LoadPlanes(const PairOfFive& pair, int group) {
    return {LoadPiece(pair.fifth[kHalf].bytes, group)};
  }
  template <int kHalf, bool kRaw, int kPiece>
  static NEARFAR_INLINE Bytes Word(Bytes packed, Planes planes) {
    return WithFifthBit<kPiece, kHalf == 1>(packed, planes.fifth);
  }
};

struct SixBits {
  static constexpr int kBits = 6;
  static constexpr bool kShared = true, kRawHalves = false;
  struct Planes {
    Bytes halves[2];
  };
  template <int kHalf>
  static NEARFAR_INLINE Pieces PiecesOf(const PairOfSix& pair) {
    return pair.quants.pieces;
  }
  template <int kHalf>
  static NEARFAR_INLINE Planes LoadPlanes(const PairOfSix& pair, int group) {
    const UpperBits& upper = pair.upper[kHalf];
    return {{LoadPiece(upper.halves[0], group), LoadPiece(upper.halves[1], group)}};
  }
  template <int kHalf, bool kRaw, int kPiece>
  static NEARFAR_INLINE Bytes Word(Bytes packed, Planes planes) {
    return WithUpperBits<kPiece % 4, kHalf == 1>(packed, planes.halves[kPiece / 4]);
  }
};

struct EightBits {
  static constexpr int kBits = 8;
  static constexpr bool kShared = false, kRawHalves = false;
  struct Planes {};
  template <int kHalf>
  static NEARFAR_INLINE Pieces PiecesOf(const PairOfEight& pair) {
    return pair.pieces[kHalf];
  }
  template <int kHalf>
  static NEARFAR_INLINE Planes LoadPlanes(const PairOfEight&, int) {
    return {};
  }
  template <int kHalf, bool kRaw, int kPiece>
  static NEARFAR_INLINE Bytes Word(Bytes packed, Planes) {
    return FromSigned(packed);
  }
};

// ---- Blocks of 32 columns: scales as they are.

template <typename TileT>
struct SmallScales {
  using Tile = TileT;
  static constexpr int kPairs = 1, kScales = 1;
  template <int kHalf>
  static NEARFAR_INLINE F32 Scale(const Tile& tile, int, int, int group) {
    return LoadHalves(tile.d[kHalf], group);
  }
  template <int kHalf>
  static NEARFAR_INLINE F32 Offset(const Tile& tile, int, int group) {
    return LoadHalves(tile.m[kHalf], group);
  }
};

struct Q4_0 : SmallScales<TileQ4_0>, FourBits {
  static constexpr int kBias = 8;
  static constexpr bool kOffset = false;
};
struct Q4_1 : SmallScales<TileQ4_1>, FourBits {
  static constexpr int kBias = 0;
  static constexpr bool kOffset = true;
};
struct Q5_0 : SmallScales<TileQ5_0>, FiveBits {
  static constexpr int kBias = kFiveBias;
  static constexpr bool kOffset = false;
};
struct Q5_1 : SmallScales<TileQ5_1>, FiveBits {
  static constexpr int kBias = kFiveBias - 16;
  static constexpr bool kOffset = true;
};
struct Q8_0 : SmallScales<TileQ8_0>, EightBits {
  static constexpr int kBias = kEightBias;
  static constexpr bool kOffset = false;
};

// ---- Super-blocks of 256 columns: small integers times the super-block's scale.

template <typename TileT>
struct AffineScales {
  using Tile = TileT;
  static constexpr int kPairs = 4, kScales = 1;
  static constexpr bool kOffset = true;
  template <int kHalf>
  static NEARFAR_INLINE F32 Scale(const Tile& tile, int pair, int, int group) {
    return Mul(LoadHalves(tile.d, group),
               FromUnsigned8(tile.scales[2 * pair + kHalf] + kLanes * group));
  }
  template <int kHalf>
  static NEARFAR_INLINE F32 Offset(const Tile& tile, int pair, int group) {
    return Mul(LoadHalves(tile.minus_dmin, group),
               FromUnsigned8(tile.offsets[2 * pair + kHalf] + kLanes * group));
  }
};

struct Q4_K : AffineScales<TileQ4_K>, FourBits {
  static constexpr int kBias = 0;
};

struct Q5_K : AffineScales<TileQ5_K>, FiveBits {
  static constexpr int kBias = kFiveBias - 16;
};

struct Q6_K : SixBits {
  using Tile = TileQ6_K;
  static constexpr int kPairs = 4, kScales = 2, kBias = 32;
  static constexpr bool kOffset = false;
  template <int kHalf>
  static NEARFAR_INLINE F32 Scale(const Tile& tile, int pair, int sixteen, int group) {
    return Mul(LoadHalves(tile.d, group),
               FromSigned8(tile.scales[4 * pair + 2 * kHalf + sixteen] + kLanes * group));
  }
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_PACKED_FORMATS_INL_H_
