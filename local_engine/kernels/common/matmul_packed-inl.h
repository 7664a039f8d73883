// The product of packed weights (packing/tiles.h) and quantized activations.
//
// Directly: a block is decoded into registers and used at once, for kTokenTile tokens. Or a strip
// is decoded once into a panel in the scratch memory, and then multiplied: what is better for many
// tokens where decoding is dear. Both do the same operations in the same order for a row and a
// token, so both give the same bits. Held by tests/local_engine/kernels/matmul_test.cc.

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
  NEARFAR_INLINE void Advance(int64_t count) {
    for (int t = 0; t < kTokens; ++t) {
      values[t] += count * kActivationBlock;
      blocks[t] += count;
    }
  }
  const int8_t* values[kTokens];
  const ActivationBlock* blocks[kTokens];
};

constexpr int Log2(int x) { return x <= 1 ? 0 : 1 + Log2(x / 2); }

// What a sum of w * value starts from, so that it ends as one of (w - kBias) * value. All in
// vectors: a broadcast from memory is cheaper than one from a register.
template <int kBias, int kRawBits>
NEARFAR_INLINE I32 Start(I32 minus_sum) {
  if constexpr (kBias == 0) return SetInts(0);
  constexpr int kShift = Log2(kBias < 0 ? -kBias : kBias) + kRawBits;
  return ShiftLeftInts<kShift>(kBias < 0 ? SubInts(SetInts(0), minus_sum) : minus_sum);
}

// Whether the nibbles of a block may stay where they are, above kRawHighBits others.
template <typename Format, int kHalf>
constexpr int kRawBits = kHalf == 1 && Format::kRawHalves ? kRawHighBits : 0;

// The dot products of one block of kLanes rows and one token: of all 32 columns, or of each 16.
// kRaw: how many bits the w's that are added are shifted up.
template <typename Format>
class BlockDots {
 public:
  static constexpr int kScales = Format::kScales;

  template <int kRaw>
  NEARFAR_INLINE void Begin(const ActivationBlock& x) {
    dots_[0].Begin(
        Start<Format::kBias, kRaw>(SetInts(kScales == 1 ? x.minus_sum : x.minus_sum_low)));
    if constexpr (kScales == 1) return;
    dots_[kScales - 1].Begin(
        Start<Format::kBias, kRaw>(SubInts(SetInts(x.minus_sum), SetInts(x.minus_sum_low))));
  }

  // values: of the block.
  template <int kPiece>
  NEARFAR_INLINE void Add(Bytes w, const int8_t* values) {
    dots_[kScales == 1 ? 0 : kPiece / 4].template Add<kPiece>(w, values);
  }

  // sum + scale * x.scale * dot (+ offset * x.sum)
  template <int kRaw>
  NEARFAR_INLINE F32 Finish(const F32 scale[kScales], F32 offset, const ActivationBlock& x,
                            F32 sum) const {
    for (int i = 0; i < kScales; ++i) {
      I32 whole = dots_[i].Sum();
      if constexpr (kRaw > 0) whole = ShiftRightInts<kRaw>(whole);
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

// Adds blocks [kFirst, kEnd) of a pair to the sums of kLanes rows. x: at the pair's first block.
template <typename Format, int kFirst, int kEnd, int kTokens>
NEARFAR_INLINE void AddBlocks(const typename Format::Tile& tile, int pair, int group,
                              const TokenGroup<kTokens>& x, F32 sums[kTokens]) {
  typename Format::Planes planes[2];
  BlockDots<Format> dots[2][kTokens];
  Unroll<kEnd, kFirst>([&](auto half) NEARFAR_LAMBDA_INLINE {
    constexpr int kHalf = decltype(half)::value;
    planes[kHalf] = Format::template LoadPlanes<kHalf>(tile.pairs[pair], group);
    for (int t = 0; t < kTokens; ++t) {
      dots[kHalf][t].template Begin<kRawBits<Format, kHalf>>(x.blocks[t][kHalf]);
    }
  });
  Unroll<kBlockPieces>([&](auto piece) NEARFAR_LAMBDA_INLINE {
    constexpr int kPiece = decltype(piece)::value;
    Unroll<kEnd, kFirst>([&](auto half) NEARFAR_LAMBDA_INLINE {
      constexpr int kHalf = decltype(half)::value;
      const Pieces pieces = Format::template PiecesOf<kHalf>(tile.pairs[pair]);
      const Bytes w = Format::template Word<kHalf, (kRawBits<Format, kHalf> > 0), kPiece>(
          LoadPiece(pieces[kPiece], group), planes[kHalf]);
      for (int t = 0; t < kTokens; ++t) {
        dots[kHalf][t].template Add<kPiece>(w, x.values[t] + kHalf * kActivationBlock);
      }
    });
  });
  Unroll<kEnd, kFirst>([&](auto half) NEARFAR_LAMBDA_INLINE {
    constexpr int kHalf = decltype(half)::value;
    F32 scale[Format::kScales], offset;
    LoadScales<Format, kHalf>(tile, pair, group, scale, &offset);
    for (int t = 0; t < kTokens; ++t) {
      sums[t] = dots[kHalf][t].template Finish<kRawBits<Format, kHalf>>(
          scale, offset, x.blocks[t][kHalf], sums[t]);
    }
  });
}

// Whether both blocks of a pair are computed side by side: where they share their bytes, and the
// registers hold their dot products. Blocks with bytes of their own are read one after the other,
// twice as fast where memory is the limit; but for many tokens the CPU is.
template <typename Format>
constexpr bool SideBySide(int tokens) {
  return 2 * tokens * Format::kScales <= kMostDots && (Format::kShared || tokens >= 8);
}

// Adds a pair of blocks to the sums of a strip.
template <typename Format, int kTokens>
NEARFAR_INLINE void AddPair(const typename Format::Tile& tile, int pair,
                            const TokenGroup<kTokens>& x, F32 sums[kGroups][kTokens]) {
  for (int g = 0; g < kGroups; ++g) {
    if constexpr (SideBySide<Format>(kTokens)) {
      AddBlocks<Format, 0, 2>(tile, pair, g, x, sums[g]);
    } else {
      AddBlocks<Format, 0, 1>(tile, pair, g, x, sums[g]);
      AddBlocks<Format, 1, 2>(tile, pair, g, x, sums[g]);
    }
  }
}

// Asks for as many bytes as a pair takes of its tile, some way ahead. Tiles are read from front to
// back, but the longer a pair is computed, the later the CPU itself looks ahead.
template <typename Format>
NEARFAR_INLINE void Prefetch(const typename Format::Tile& tile, int pair) {
  constexpr int kAhead = 4096, kLine = 64;
  constexpr int kPart =
      (sizeof(tile) + Format::kPairs * kLine - 1) / (Format::kPairs * kLine) * kLine;
  const char* const part = reinterpret_cast<const char*>(&tile) + kAhead + pair * kPart;
  for (int i = 0; i < kPart; i += kLine) __builtin_prefetch(part + i);
}

template <typename Format, int kTokens>
NEARFAR_NOINLINE void MultiplyDirectly(const MatMulArgs& args, int64_t row, int64_t token) {
  using Tile = typename Format::Tile;
  TokenGroup<kTokens> x(args.x, token);
  F32 sums[kGroups][kTokens];
  for (int g = 0; g < kGroups; ++g) {
    for (int t = 0; t < kTokens; ++t) sums[g][t] = Set(0.0f);
  }
  const Tile* tile =
      reinterpret_cast<const Tile*>(args.weights + row / kStripRows * args.weight_stride);
  const Tile* const end = tile + TilesOfRow<Format>(args.cols);
  for (; tile != end; ++tile) {
    for (int pair = 0; pair < Format::kPairs; ++pair) {
      if constexpr (kTokens >= kLeastPrefetch) Prefetch<Format>(*tile, pair);
      AddPair<Format, kTokens>(*tile, pair, x, sums);
      x.Advance(2);
    }
  }
  WriteStrip<kTokens>(args, row, token, sums);
}

// A decoded block of kLanes rows.
template <typename Format>
struct DecodedGroup {
  Bytes w[kBlockPieces];
  F32 scale[Format::kScales];
  F32 offset;
};

// Puts every block of a strip into a panel.
template <typename Format, typename Panel>
NEARFAR_NOINLINE void DecodeStrip(const MatMulArgs& args, int64_t row, const Panel& panel) {
  using Tile = typename Format::Tile;
  const Tile* tile =
      reinterpret_cast<const Tile*>(args.weights + row / kStripRows * args.weight_stride);
  const Tile* const end = tile + TilesOfRow<Format>(args.cols);
  int64_t block = 0;
  for (; tile != end; ++tile) {
    for (int pair = 0; pair < Format::kPairs; ++pair, block += 2) {
      Unroll<2>([&](auto half) NEARFAR_LAMBDA_INLINE {
        for (int g = 0; g < kGroups; ++g) {
          DecodedGroup<Format> group;
          const Pieces pieces = Format::template PiecesOf<half.value>(tile->pairs[pair]);
          const auto planes = Format::template LoadPlanes<half.value>(tile->pairs[pair], g);
          Unroll<kBlockPieces>([&](auto i) NEARFAR_LAMBDA_INLINE {
            group.w[i.value] = Format::template Word<half.value, false, i.value>(
                LoadPiece(pieces[i.value], g), planes);
          });
          LoadScales<Format, half.value>(*tile, pair, g, group.scale, &group.offset);
          panel.Put(block + half.value, g, group);
        }
      });
    }
  }
}

template <typename Format, int kTokens>
NEARFAR_NOINLINE void MultiplyPanel(const MatMulArgs& args, const DecodedGroup<Format>* panel,
                                    int64_t row, int64_t token) {
  const TokenGroup<kTokens> x(args.x, token);
  F32 sums[kGroups][kTokens];
  for (int g = 0; g < kGroups; ++g) {
    for (int t = 0; t < kTokens; ++t) sums[g][t] = Set(0.0f);
  }
  const int64_t blocks = 2 * Format::kPairs * TilesOfRow<Format>(args.cols);
  for (int64_t b = 0; b < blocks; ++b) {
    Unroll<kGroups>([&](auto g) NEARFAR_LAMBDA_INLINE {
      const DecodedGroup<Format> group = panel[b * kGroups + g.value];
      Unroll<kTokens>([&](auto t) NEARFAR_LAMBDA_INLINE {
        const ActivationBlock& block = x.blocks[t.value][b];
        BlockDots<Format> dots;
        dots.template Begin<0>(block);
        Unroll<kBlockPieces>([&](auto i) NEARFAR_LAMBDA_INLINE {
          dots.template Add<i.value>(group.w[i.value], x.values[t.value] + b * kActivationBlock);
        });
        sums[g.value][t.value] =
            dots.template Finish<0>(group.scale, group.offset, block, sums[g.value][t.value]);
      });
    });
  }
  WriteStrip<kTokens>(args, row, token, sums);
}

// Calls function(first token, Constant<count>()) for tiles of kTokenTile tokens and for what is
// left.
template <typename Function>
NEARFAR_INLINE void ForTokenTiles(int64_t tokens, Function function) {
  int64_t token = 0;
  for (; token + kTokenTile <= tokens; token += kTokenTile) {
    function(token, Constant<kTokenTile>());
  }
  if (token == tokens) return;
  WithCount<kTokenTile>(static_cast<int>(tokens - token),
                        [&](auto count) { function(token, count); });
}

// A panel is what a strip is decoded into where there are many tokens:
//   kMostTokens  that it takes at once
//   BytesOf      memory of a strip of so many blocks, and of the tokens
//   TakeTokens   from `first` on
//   Put          a decoded block of group g
//   Multiply     the strip of `row` with the tokens
//   PeakDot      its dot product, of kPeakSteps steps a block, for limits-inl.h
// This one is for every Dot: blocks as they are decoded, tokens where they lie.
template <typename Format>
class RowPanel {
 public:
  using PeakDot = Dot<4>;
  static constexpr int kPeakSteps = kBlockPieces;
  static constexpr int64_t kMostTokens = int64_t{1} << 40;
  static constexpr int64_t BytesOf(int64_t blocks) {
    return blocks * kGroups * static_cast<int64_t>(sizeof(DecodedGroup<Format>));
  }

  explicit RowPanel(const MatMulArgs& args)
      : args_(args), groups_(reinterpret_cast<DecodedGroup<Format>*>(args.scratch)) {}

  void TakeTokens(int64_t) {}
  NEARFAR_INLINE void Put(int64_t block, int g, const DecodedGroup<Format>& group) const {
    groups_[block * kGroups + g] = group;
  }
  void Multiply(int64_t row) const {
    ForTokenTiles(args_.x.tokens, [&](int64_t token, auto count) {
      MultiplyPanel<Format, decltype(count)::value>(args_, groups_, row, token);
    });
  }

 private:
  const MatMulArgs& args_;
  DecodedGroup<Format>* groups_;  // [blocks, kGroups]
};

template <typename Format, typename Panel>
void MultiplyByPanel(const MatMulArgs& args) {
  Panel panel(args);
  for (int64_t first = 0; first < args.x.tokens; first += Panel::kMostTokens) {
    panel.TakeTokens(first);
    for (int64_t row = 0; row < args.rows; row += kStripRows) {
      DecodeStrip<Format>(args, row, panel);
      panel.Multiply(row);
    }
  }
}

template <typename Format, template <typename> class Panel>
void MatMulPacked(const MatMulArgs& args) {
  constexpr int64_t kMostDirect = kMostDirectTokens<Format::kScales>;
  if (args.x.tokens <= kMostDirect) {
    for (int64_t row = 0; row < args.rows; row += kStripRows) {
      ForTokenTiles(args.x.tokens, [&](int64_t token, auto count) {
        MultiplyDirectly<Format, decltype(count)::value>(args, row, token);
      });
    }
  } else if constexpr (kMostDirect != INT64_MAX) {
    MultiplyByPanel<Format, Panel<Format>>(args);
  }
}

// A panel of the largest block and the widest tile.
template <template <typename> class Panel>
int64_t MatMulScratchBytes(int64_t cols) {
  constexpr int64_t kTile = 256;
  return Panel<Q6_K>::BytesOf((cols + kTile - 1) / kTile * (kTile / kBlockColumns));
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MATMUL_PACKED_INL_H_
