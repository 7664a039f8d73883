// The product of packed weights (packing/tiles.h) and quantized activations.
//
// One token: a block is decoded into registers and used at once. More: a strip is decoded once into
// a panel in the scratch memory, then multiplied with kTokenTile tokens at a time. Both do the same
// operations in the same order for a row and a token, so both give the same bits. Held by
// tests/local_engine/kernels/matmul_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MATMUL_PACKED_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MATMUL_PACKED_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/packed_formats-inl.h"
#include "local_engine/kernels/common/unroll-inl.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar::kernels {
namespace {

// kTokens consecutive tokens of the activations.
template <int kTokens>
struct TokenGroup {
  NEARFAR_INLINE TokenGroup(const ActivationView& x, int64_t first) {
    for (int t = 0; t < kTokens; ++t) {
      const int64_t block = (first + t) * x.blocks_per_token;
      values[t] = x.values + block * kActivationBlock;
      blocks[t] = x.blocks + block;
    }
  }
  const int8_t* values[kTokens];
  const ActivationBlock* blocks[kTokens];
};

constexpr int Log2(int x) { return x <= 1 ? 0 : 1 + Log2(x / 2); }

// What a sum of w * value starts from, so that it ends as one of (w - kBias) * value.
template <int kBias, int kRawBits>
NEARFAR_INLINE I32 Start(int32_t minus_sum) {
  if constexpr (kBias == 0) return SetInts(0);
  constexpr int kShift = Log2(kBias < 0 ? -kBias : kBias) + kRawBits;
  return ShiftLeftInts<kShift>(SetInts(kBias < 0 ? -minus_sum : minus_sum));
}

// The dot products of one block of kLanes rows and one token: of all 32 columns, or of each 16.
template <typename Format, int kRawBits>
class BlockDots {
 public:
  static constexpr int kScales = Format::kScales;

  NEARFAR_INLINE void Begin(const ActivationBlock& x) {
    dots_[0].Begin(Start<Format::kBias, kRawBits>(kScales == 1 ? x.minus_sum : x.minus_sum_low));
    if constexpr (kScales == 1) return;
    dots_[kScales - 1].Begin(Start<Format::kBias, kRawBits>(x.minus_sum - x.minus_sum_low));
  }

  // values: of the block.
  template <int kPiece>
  NEARFAR_INLINE void Add(Bytes w, const int8_t* values) {
    dots_[kScales == 1 ? 0 : kPiece / 4].template Add<kPiece>(w, values);
  }

  // sum + scale * x.scale * dot (+ offset * x.sum)
  NEARFAR_INLINE F32 Finish(const F32 scale[kScales], F32 offset, const ActivationBlock& x,
                            F32 sum) const {
    for (int i = 0; i < kScales; ++i) {
      I32 whole = dots_[i].Sum();
      if constexpr (kRawBits > 0) whole = ShiftRightInts<kRawBits>(whole);
      sum = Fma(ToFloat(whole), Mul(scale[i], Set(x.scale)), sum);
    }
    return Format::kOffset ? Fma(offset, Set(x.sum), sum) : sum;
  }

 private:
  Dot<Format::kBits> dots_[kScales];
};

template <typename Format, int kHalf>
NEARFAR_INLINE void LoadScales(const typename Format::Tile& tile, int pair, int group,
                               F32 scale[Format::kScales], F32* offset) {
  for (int i = 0; i < Format::kScales; ++i) {
    scale[i] = Format::template Scale<kHalf>(tile, pair, i, group);
  }
  if constexpr (Format::kOffset) *offset = Format::template Offset<kHalf>(tile, pair, group);
}

// Writes the sums of rows [row, row + kLanes), those that exist, for one token.
NEARFAR_INLINE void WriteSums(const MatMulArgs& args, int64_t row, int64_t token, F32 sums) {
  float* out = args.out + token * args.out_stride + row;
  const int64_t left = args.rows - row;
  if (left >= kLanes) {
    Store(out, args.bias == nullptr ? sums : Add(sums, Load(args.bias + row)));
    return;
  }
  float lanes[kLanes];
  Store(lanes, sums);
  for (int64_t r = 0; r < left; ++r) {
    out[r] = args.bias == nullptr ? lanes[r] : lanes[r] + args.bias[row + r];
  }
}

template <int kTokens>
NEARFAR_INLINE void WriteStrip(const MatMulArgs& args, int64_t row, int64_t token,
                               const F32 sums[kGroups][kTokens]) {
  for (int g = 0; g < kGroups; ++g) {
    for (int t = 0; t < kTokens; ++t) WriteSums(args, row + g * kLanes, token + t, sums[g][t]);
  }
}

// Pairs of blocks of a row: a last tile may be half empty, which its scales of zero say.
template <typename Format>
NEARFAR_INLINE int64_t TilesOfRow(int64_t cols) {
  constexpr int64_t kColumns = 2 * kBlockColumns * Format::kPairs;
  return (cols + kColumns - 1) / kColumns;
}

// Adds a pair of blocks of one token to the sums of a strip. values and x: of the pair's first
// block. Both blocks of kLanes rows are computed side by side, because they may share their bytes.
template <typename Format>
NEARFAR_INLINE void AddPair(const typename Format::Tile& tile, int pair, const int8_t* values,
                            const ActivationBlock* x, F32 sums[kGroups]) {
  constexpr bool kRaw = Format::kRawHalves;
  constexpr int kRawBits = kRaw ? kRawHighBits : 0;
  const Pieces first_pieces = Format::template PiecesOf<0>(tile.pairs[pair]);
  const Pieces second_pieces = Format::template PiecesOf<1>(tile.pairs[pair]);
  Unroll<kGroups>([&](auto g) NEARFAR_LAMBDA_INLINE {
    const typename Format::Planes first_planes =
        Format::template LoadPlanes<0>(tile.pairs[pair], g.value);
    const typename Format::Planes second_planes =
        Format::template LoadPlanes<1>(tile.pairs[pair], g.value);
    BlockDots<Format, 0> first;
    BlockDots<Format, kRawBits> second;
    first.Begin(x[0]);
    second.Begin(x[1]);
    Unroll<kBlockPieces>([&](auto i) NEARFAR_LAMBDA_INLINE {
      const Bytes low = LoadPiece(first_pieces[i.value], g.value);
      const Bytes high = Format::kShared ? low : LoadPiece(second_pieces[i.value], g.value);
      second.template Add<i.value>(Format::template Word<1, kRaw, i.value>(high, second_planes),
                                   values + kActivationBlock);
      first.template Add<i.value>(Format::template Word<0, false, i.value>(low, first_planes),
                                  values);
    });
    F32 scale[Format::kScales], offset;
    LoadScales<Format, 0>(tile, pair, g.value, scale, &offset);
    sums[g.value] = first.Finish(scale, offset, x[0], sums[g.value]);
    LoadScales<Format, 1>(tile, pair, g.value, scale, &offset);
    sums[g.value] = second.Finish(scale, offset, x[1], sums[g.value]);
  });
}

template <typename Format>
NEARFAR_NOINLINE void MultiplyOne(const MatMulArgs& args, int64_t row) {
  using Tile = typename Format::Tile;
  const int8_t* values = args.x.values;
  const ActivationBlock* x = args.x.blocks;
  F32 sums[kGroups][1];
  for (int g = 0; g < kGroups; ++g) sums[g][0] = Set(0.0f);
  const Tile* tile =
      reinterpret_cast<const Tile*>(args.weights + row / kStripRows * args.weight_stride);
  const Tile* const end = tile + TilesOfRow<Format>(args.cols);
  for (; tile != end; ++tile) {
    for (int pair = 0; pair < Format::kPairs; ++pair, values += 2 * kActivationBlock, x += 2) {
      AddPair<Format>(*tile, pair, values, x, &sums[0][0]);
    }
  }
  WriteStrip<1>(args, row, 0, sums);
}

// A decoded block.
template <typename Format>
struct PanelBlock {
  struct Group {
    Bytes w[kBlockPieces];
    F32 scale[Format::kScales];
    F32 offset;
  };
  Group groups[kGroups];
};

template <typename Format>
NEARFAR_NOINLINE void DecodeStrip(const MatMulArgs& args, int64_t row, PanelBlock<Format>* panel) {
  using Tile = typename Format::Tile;
  const Tile* tile =
      reinterpret_cast<const Tile*>(args.weights + row / kStripRows * args.weight_stride);
  const Tile* const end = tile + TilesOfRow<Format>(args.cols);
  for (; tile != end; ++tile) {
    for (int pair = 0; pair < Format::kPairs; ++pair, panel += 2) {
      Unroll<2>([&](auto half) NEARFAR_LAMBDA_INLINE {
        for (int g = 0; g < kGroups; ++g) {
          typename PanelBlock<Format>::Group& group = panel[half.value].groups[g];
          const Pieces pieces = Format::template PiecesOf<half.value>(tile->pairs[pair]);
          const auto planes = Format::template LoadPlanes<half.value>(tile->pairs[pair], g);
          Unroll<kBlockPieces>([&](auto i) NEARFAR_LAMBDA_INLINE {
            group.w[i.value] = Format::template Word<half.value, false, i.value>(
                LoadPiece(pieces[i.value], g), planes);
          });
          LoadScales<Format, half.value>(*tile, pair, g, group.scale, &group.offset);
        }
      });
    }
  }
}

template <typename Format, int kTokens>
NEARFAR_NOINLINE void MultiplyPanel(const MatMulArgs& args, const PanelBlock<Format>* panel,
                                    int64_t row, int64_t token) {
  const TokenGroup<kTokens> x(args.x, token);
  F32 sums[kGroups][kTokens];
  for (int g = 0; g < kGroups; ++g) {
    for (int t = 0; t < kTokens; ++t) sums[g][t] = Set(0.0f);
  }
  const int64_t blocks = 2 * Format::kPairs * TilesOfRow<Format>(args.cols);
  for (int64_t b = 0; b < blocks; ++b) {
    Unroll<kGroups>([&](auto g) NEARFAR_LAMBDA_INLINE {
      const typename PanelBlock<Format>::Group group = panel[b].groups[g.value];
      Unroll<kTokens>([&](auto t) NEARFAR_LAMBDA_INLINE {
        const ActivationBlock& block = x.blocks[t.value][b];
        BlockDots<Format, 0> dots;
        dots.Begin(block);
        Unroll<kBlockPieces>([&](auto i) NEARFAR_LAMBDA_INLINE {
          dots.template Add<i.value>(group.w[i.value], x.values[t.value] + b * kActivationBlock);
        });
        sums[g.value][t.value] =
            dots.Finish(group.scale, group.offset, block, sums[g.value][t.value]);
      });
    });
  }
  WriteStrip<kTokens>(args, row, token, sums);
}

template <typename Format>
void MultiplyStrip(const MatMulArgs& args, int64_t row) {
  const int64_t tokens = args.x.tokens;
  if (tokens == 1) return MultiplyOne<Format>(args, row);
  PanelBlock<Format>* panel = reinterpret_cast<PanelBlock<Format>*>(args.scratch);
  DecodeStrip<Format>(args, row, panel);
  int64_t token = 0;
  for (; token + kTokenTile <= tokens; token += kTokenTile) {
    MultiplyPanel<Format, kTokenTile>(args, panel, row, token);
  }
  if (token == tokens) return;
  WithCount<kTokenTile>(static_cast<int>(tokens - token), [&](auto count) {
    MultiplyPanel<Format, decltype(count)::value>(args, panel, row, token);
  });
}

template <typename Format>
void MatMulPacked(const MatMulArgs& args) {
  if (args.x.tokens == 0) return;
  for (int64_t row = 0; row < args.rows; row += kStripRows) MultiplyStrip<Format>(args, row);
}

// A panel of the largest block and the widest tile.
int64_t MatMulScratchBytes(int64_t cols) {
  constexpr int64_t kTile = 256;
  return static_cast<int64_t>(sizeof(PanelBlock<Q6_K>)) * ((cols + kTile - 1) / kTile) *
         (kTile / kBlockColumns);
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MATMUL_PACKED_INL_H_
