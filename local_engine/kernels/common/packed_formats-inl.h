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
//   PiecesOf  the first of eight pieces, of both blocks of a pair where kShared
//   Planes    a block's bits that stand elsewhere, of kCount groups; LoadPlanes
//   Word      the w of columns 4 * kPiece .. 4 * kPiece + 3 of a block, of its piece and planes.
//   kRaw
//             lets the nibbles of a second block be 2^kRawHighBits times what they are, where that
//             is cheaper.
//   LoadScale, LoadOffset   of kCount groups
// `kHalf` says which block of the pair, `group` which kLanes rows of the strip, the first of kCount
// such groups.
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

// Groups that are computed side by side, and so share what is read of the activations: as many as
// Dot says that there are registers for.
template <int kBits>
constexpr int Together() {
  if constexpr (requires { Dot<kBits>::kTogether; }) return Dot<kBits>::kTogether;
  return 1;
}
template <int kBits>
constexpr int kTogether = Together<kBits>();

// What follows is of kCount groups that lie together. A simd.h may bring faster ones for a count of
// its own.

// Of a piece; then `from` is at the next one.
template <int kCount>
NEARFAR_INLINE void LoadPiece(const uint8_t*& from, Bytes (&to)[kCount]) {
  for (int i = 0; i < kCount; ++i) to[i] = LoadBytes(from + 4 * kLanes * i);
  from += kPieceBytes;
}
template <int kCount>
NEARFAR_INLINE void LoadEachHalf(const uint16_t* from, F32 (&to)[kCount]) {
  for (int i = 0; i < kCount; ++i) to[i] = LoadHalf(from + kLanes * i);
}
template <int kCount>
NEARFAR_INLINE void FromEachUnsigned8(const uint8_t* from, F32 (&to)[kCount]) {
  for (int i = 0; i < kCount; ++i) to[i] = FromUnsigned8(from + kLanes * i);
}
template <int kCount>
NEARFAR_INLINE void FromEachSigned8(const int8_t* from, F32 (&to)[kCount]) {
  for (int i = 0; i < kCount; ++i) to[i] = FromSigned8(from + kLanes * i);
}

template <int kCount>
NEARFAR_INLINE void MulEach(const F32 (&by)[kCount], F32 (&x)[kCount]) {
  for (int i = 0; i < kCount; ++i) x[i] = Mul(by[i], x[i]);
}

// Where a group begins in the first of some pieces.
NEARFAR_INLINE const uint8_t* InPiece(const uint8_t* piece, int group) {
  return piece + 4 * kLanes * group;
}

template <int kCount>
NEARFAR_INLINE void LoadPlane(const uint8_t* plane, int group, Bytes (&to)[kCount]) {
  const uint8_t* from = InPiece(plane, group);
  LoadPiece(from, to);
}

// ---- Where the bits are.

struct FourBits {
  static constexpr int kBits = 4;
  static constexpr bool kShared = true, kRawHalves = true;
  template <int kCount>
  struct Planes {};
  template <int kHalf>
  static NEARFAR_INLINE const uint8_t* PiecesOf(const PairOfFour& pair) {
    return pair.quants.pieces[0];
  }
  template <int kHalf, int kCount>
  static NEARFAR_INLINE void LoadPlanes(const PairOfFour&, int, Planes<kCount>*) {}
  template <int kHalf, bool kRaw, int kPiece, int kCount>
  static NEARFAR_INLINE Bytes Word(Bytes packed, const Planes<kCount>&, int) {
    if constexpr (kHalf == 0) return LowNibbles(packed);
    if constexpr (kRaw) return RawHighNibbles(packed);
    return HighNibbles(packed);
  }
};

struct FiveBits {
  static constexpr int kBits = 5;
  static constexpr bool kShared = true, kRawHalves = false;
  template <int kCount>
  struct Planes {
    Bytes fifth[kCount];
  };
  template <int kHalf>
  static NEARFAR_INLINE const uint8_t* PiecesOf(const PairOfFive& pair) {
    return pair.quants.pieces[0];
  }
  template <int kHalf, int kCount>
  static NEARFAR_INLINE void LoadPlanes(const PairOfFive& pair, int group, Planes<kCount>* planes) {
    LoadPlane(pair.fifth[kHalf].bytes, group, planes->fifth);
  }
  template <int kHalf, bool kRaw, int kPiece, int kCount>
  static NEARFAR_INLINE Bytes Word(Bytes packed, const Planes<kCount>& planes, int i) {
    return WithFifthBit<kPiece, kHalf == 1>(packed, planes.fifth[i]);
  }
};

struct SixBits {
  static constexpr int kBits = 6;
  static constexpr bool kShared = true, kRawHalves = false;
  template <int kCount>
  struct Planes {
    Bytes halves[2][kCount];
  };
  template <int kHalf>
  static NEARFAR_INLINE const uint8_t* PiecesOf(const PairOfSix& pair) {
    return pair.quants.pieces[0];
  }
  template <int kHalf, int kCount>
  static NEARFAR_INLINE void LoadPlanes(const PairOfSix& pair, int group, Planes<kCount>* planes) {
    LoadPlane(pair.upper[kHalf].halves[0], group, planes->halves[0]);
    LoadPlane(pair.upper[kHalf].halves[1], group, planes->halves[1]);
  }
  template <int kHalf, bool kRaw, int kPiece, int kCount>
  static NEARFAR_INLINE Bytes Word(Bytes packed, const Planes<kCount>& planes, int i) {
    return WithUpperBits<kPiece % 4, kHalf == 1>(packed, planes.halves[kPiece / 4][i]);
  }
};

struct EightBits {
  static constexpr int kBits = 8;
  static constexpr bool kShared = false, kRawHalves = false;
  template <int kCount>
  struct Planes {};
  template <int kHalf>
  static NEARFAR_INLINE const uint8_t* PiecesOf(const PairOfEight& pair) {
    return pair.pieces[kHalf][0];
  }
  template <int kHalf, int kCount>
  static NEARFAR_INLINE void LoadPlanes(const PairOfEight&, int, Planes<kCount>*) {}
  template <int kHalf, bool kRaw, int kPiece, int kCount>
  static NEARFAR_INLINE Bytes Word(Bytes packed, const Planes<kCount>&, int) {
    return FromSigned(packed);
  }
};

// ---- Blocks of 32 columns: scales as they are.

template <typename TileT>
struct SmallScales {
  using Tile = TileT;
  static constexpr int kPairs = 1, kScales = 1;
  template <int kHalf, int kCount>
  static NEARFAR_INLINE void LoadScale(const Tile& tile, int, int, int group, F32 (&to)[kCount]) {
    LoadEachHalf(tile.d[kHalf] + kLanes * group, to);
  }
  template <int kHalf, int kCount>
  static NEARFAR_INLINE void LoadOffset(const Tile& tile, int, int group, F32 (&to)[kCount]) {
    LoadEachHalf(tile.m[kHalf] + kLanes * group, to);
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
  template <int kHalf, int kCount>
  static NEARFAR_INLINE void LoadScale(const Tile& tile, int pair, int, int group,
                                       F32 (&to)[kCount]) {
    LoadProduct(tile.d, tile.scales[2 * pair + kHalf], group, to);
  }
  template <int kHalf, int kCount>
  static NEARFAR_INLINE void LoadOffset(const Tile& tile, int pair, int group, F32 (&to)[kCount]) {
    LoadProduct(tile.minus_dmin, tile.offsets[2 * pair + kHalf], group, to);
  }

 private:
  template <int kCount>
  static NEARFAR_INLINE void LoadProduct(const uint16_t* halves, const uint8_t* bytes, int group,
                                         F32 (&to)[kCount]) {
    F32 super[kCount];
    LoadEachHalf(halves + kLanes * group, super);
    FromEachUnsigned8(bytes + kLanes * group, to);
    MulEach(super, to);
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
  template <int kHalf, int kCount>
  static NEARFAR_INLINE void LoadScale(const Tile& tile, int pair, int sixteen, int group,
                                       F32 (&to)[kCount]) {
    F32 super[kCount];
    LoadEachHalf(tile.d + kLanes * group, super);
    FromEachSigned8(tile.scales[4 * pair + 2 * kHalf + sixteen] + kLanes * group, to);
    MulEach(super, to);
  }
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_PACKED_FORMATS_INL_H_
