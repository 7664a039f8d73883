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

#ifndef NEARFAR_KERNELS_OWN_NUMBERS

// The numbers of a block of activations, each in all lanes. All in vectors: a broadcast from memory
// is cheaper than one from a register.
class BlockNumbers {
 public:
  BlockNumbers() = default;
  NEARFAR_INLINE explicit BlockNumbers(const ActivationBlock& x) : x_(&x) {}
  NEARFAR_INLINE F32 Scale() const { return Set(x_->scale); }
  NEARFAR_INLINE F32 Sum() const { return Set(x_->sum); }
  // Of all 32 values, of the first 16, and of the others; times kSign (1 or -1) times 2^kShift.
  template <int kSign, int kShift>
  NEARFAR_INLINE I32 MinusSum() const {
    return Difference<kSign, kShift>(SetInts(x_->minus_sum), SetInts(0));
  }
  template <int kSign, int kShift>
  NEARFAR_INLINE I32 MinusSumLow() const {
    return Difference<kSign, kShift>(SetInts(x_->minus_sum_low), SetInts(0));
  }
  template <int kSign, int kShift>
  NEARFAR_INLINE I32 MinusSumHigh() const {
    return Difference<kSign, kShift>(SetInts(x_->minus_sum), SetInts(x_->minus_sum_low));
  }

 private:
  template <int kSign, int kShift>
  static NEARFAR_INLINE I32 Difference(I32 a, I32 b) {
    return ShiftLeftInts<kShift>(kSign < 0 ? SubInts(b, a) : SubInts(a, b));
  }

  const ActivationBlock* x_;
};

#endif  // NEARFAR_KERNELS_OWN_NUMBERS

// How many bits the w's of a block are shifted up, where they may be.
template <typename Format, int kHalf>
constexpr int kRawBits = kHalf == 1 && Format::kRawHalves ? kRawHighBits : 0;

// The dot products of one block of kLanes rows and one token: of all 32 columns, or of each 16.
// kRaw: how many bits the w's that are added are shifted up.
template <typename Format>
class BlockDots {
 public:
  static constexpr int kScales = Format::kScales;

  // A sum of w * value starts so that it ends as one of (w - kBias) * value.
  template <int kRaw>
  NEARFAR_INLINE void Begin(const BlockNumbers& x) {
    constexpr int kBias = Format::kBias, kSign = kBias < 0 ? -1 : 1;
    if constexpr (kBias == 0) {
      for (int i = 0; i < kScales; ++i) dots_[i].Begin(SetInts(0));
    } else {
      constexpr int kShift = Log2(kSign * kBias) + kRaw;
      dots_[0].Begin(kScales == 1 ? x.template MinusSum<kSign, kShift>()
                                  : x.template MinusSumLow<kSign, kShift>());
      if constexpr (kScales == 1) return;
      dots_[kScales - 1].Begin(x.template MinusSumHigh<kSign, kShift>());
    }
  }

  // values: of the block.
  template <int kPiece>
  NEARFAR_INLINE void Add(Bytes w, const int8_t* values) {
    dots_[kScales == 1 ? 0 : kPiece / 4].template Add<kPiece>(w, values);
  }

  // sum + scale * x.scale * dot (+ offset * x.sum)
  template <int kRaw>
  NEARFAR_INLINE F32 Finish(const F32 scale[kScales], F32 offset, const BlockNumbers& x,
                            F32 sum) const {
    for (int i = 0; i < kScales; ++i) {
      I32 whole = dots_[i].Sum();
      if constexpr (kRaw > 0) whole = ShiftRightInts<kRaw>(whole);
      sum = Fma(ToFloat(whole), Mul(scale[i], x.Scale()), sum);
    }
    return Format::kOffset ? Fma(offset, x.Sum(), sum) : sum;
  }

 private:
  Dot<Format::kBits> dots_[kScales];
};

// Of kCount groups from `group`.
template <typename Format, int kHalf, int kCount>
NEARFAR_INLINE void LoadScales(const typename Format::Tile& tile, int pair, int group,
                               F32 (&scale)[kCount][Format::kScales], F32 (&offset)[kCount]) {
  Unroll<Format::kScales>([&](auto i) NEARFAR_LAMBDA_INLINE {
    F32 each[kCount];
    Format::template LoadScale<kHalf>(tile, pair, i.value, group, each);
    for (int g = 0; g < kCount; ++g) scale[g][i.value] = each[g];
  });
  if constexpr (Format::kOffset) Format::template LoadOffset<kHalf>(tile, pair, group, offset);
}

// to[t * stride + row] = sums (+ bias[row]) for kCount whole groups.
template <int kCount, int kTokens>
NEARFAR_INLINE void StoreSums(const F32 (&sums)[kCount][kTokens], const float* bias, float* to,
                              int64_t stride) {
  Unroll<kCount>([&](auto g) NEARFAR_LAMBDA_INLINE {
    Unroll<kTokens>([&](auto t) NEARFAR_LAMBDA_INLINE {
      const F32 sum = sums[g.value][t.value];
      Store(to + t.value * stride + g.value * kLanes,
            bias == nullptr ? sum : Add(sum, Load(bias + g.value * kLanes)));
    });
  });
}

// Writes the sums of those rows of kCount groups that exist.
template <int kCount, int kTokens>
NEARFAR_INLINE void WriteSums(const MatMulArgs& args, int64_t row, int64_t token,
                              const F32 (&sums)[kCount][kTokens]) {
  constexpr int64_t kRows = kCount * kLanes;
  const float* const bias = args.bias == nullptr ? nullptr : args.bias + row;
  const int64_t rows = args.rows - row, stride = args.out_stride;
  float* const out = args.out + token * stride + row;
  if (rows >= kRows) return StoreSums(sums, bias, out, stride);
  float some[kTokens][kRows];
  StoreSums(sums, nullptr, some[0], kRows);
  for (int t = 0; t < kTokens; ++t) {
    for (int64_t r = 0; r < rows; ++r) {
      out[t * stride + r] = bias == nullptr ? some[t][r] : some[t][r] + bias[r];
    }
  }
}

// Pairs of blocks of a row: a last tile may be half empty, which its scales of zero say.
template <typename Format>
NEARFAR_INLINE int64_t TilesOfRow(int64_t cols) {
  constexpr int64_t kColumns = 2 * kBlockColumns * Format::kPairs;
  return (cols + kColumns - 1) / kColumns;
}

// Adds blocks [kFirst, kEnd) of a pair to the sums of kCount groups from `group`. x: at the pair's
// first block.
template <typename Format, int kFirst, int kEnd, int kCount, int kTokens>
NEARFAR_INLINE void AddBlocks(const typename Format::Tile& tile, int pair, int group,
                              const TokenGroup<kTokens>& x, F32 (*sums)[kTokens]) {
  const uint8_t* pieces[2];
  typename Format::template Planes<kCount> planes[2];
  BlockNumbers numbers[2][kTokens];
  BlockDots<Format> dots[2][kCount][kTokens];
  Unroll<kEnd, kFirst>([&](auto half) NEARFAR_LAMBDA_INLINE {
    constexpr int kHalf = decltype(half)::value;
    pieces[kHalf] = InPiece(Format::template PiecesOf<kHalf>(tile.pairs[pair]), group);
    Format::template LoadPlanes<kHalf>(tile.pairs[pair], group, &planes[kHalf]);
    for (int t = 0; t < kTokens; ++t) {
      numbers[kHalf][t] = BlockNumbers(x.blocks[t][kHalf]);
      for (int g = 0; g < kCount; ++g) {
        dots[kHalf][g][t].template Begin<kRawBits<Format, kHalf>>(numbers[kHalf][t]);
      }
    }
  });
  Unroll<kBlockPieces>([&](auto piece) NEARFAR_LAMBDA_INLINE {
    Bytes packed[2][kCount];
    LoadPiece(pieces[kFirst], packed[kFirst]);
    if constexpr (kEnd - kFirst == 2 && !Format::kShared) LoadPiece(pieces[1], packed[1]);
    for (int g = 0; g < kCount; ++g) {
      Unroll<kEnd, kFirst>([&](auto half) NEARFAR_LAMBDA_INLINE {
        constexpr int kHalf = decltype(half)::value;
        constexpr int kRaw = kRawBits<Format, kHalf>;
        const Bytes w = Format::template Word<kHalf, kRaw != 0, piece.value>(
            packed[Format::kShared ? kFirst : kHalf][g], planes[kHalf], g);
        for (int t = 0; t < kTokens; ++t) {
          dots[kHalf][g][t].template Add<piece.value>(w, x.values[t] + kHalf * kActivationBlock);
        }
      });
    }
  });
  Unroll<kEnd, kFirst>([&](auto half) NEARFAR_LAMBDA_INLINE {
    constexpr int kHalf = decltype(half)::value;
    F32 scale[kCount][Format::kScales], offset[kCount];
    LoadScales<Format, kHalf>(tile, pair, group, scale, offset);
    for (int g = 0; g < kCount; ++g) {
      for (int t = 0; t < kTokens; ++t) {
        sums[g][t] = dots[kHalf][g][t].template Finish<kRawBits<Format, kHalf>>(
            scale[g], offset[g], numbers[kHalf][t], sums[g][t]);
      }
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

// Adds a pair of blocks to the sums of a strip. One token's groups are computed together where
// registers allow, as they share what is read of it.
template <typename Format, int kTokens>
NEARFAR_INLINE void AddPair(const typename Format::Tile& tile, int pair,
                            const TokenGroup<kTokens>& x, F32 (&sums)[kGroups][kTokens]) {
  constexpr int kCount = kTokens == 1 ? kTogether<Format::kBits> : 1;
  static_assert(kGroups % kCount == 0);
  Unroll<kGroups / kCount>([&](auto i) NEARFAR_LAMBDA_INLINE {
    constexpr int kGroup = decltype(i)::value * kCount;
    if constexpr (SideBySide<Format>(kTokens)) {
      AddBlocks<Format, 0, 2, kCount>(tile, pair, kGroup, x, sums + kGroup);
    } else {
      AddBlocks<Format, 0, 1, kCount>(tile, pair, kGroup, x, sums + kGroup);
      AddBlocks<Format, 1, 2, kCount>(tile, pair, kGroup, x, sums + kGroup);
    }
  });
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

// Adds a strip to its sums.
template <typename Format, int kTokens>
NEARFAR_INLINE void AddStrip(const typename Format::Tile* tile, int64_t tiles,
                             TokenGroup<kTokens> x, F32 (&sums)[kGroups][kTokens]) {
  const typename Format::Tile* const end = tile + tiles;
  do {
    for (int pair = 0; pair < Format::kPairs; ++pair) {
      if constexpr (kTokens >= kLeastPrefetch) Prefetch<Format>(*tile, pair);
      AddPair<Format>(*tile, pair, x, sums);
      x.Advance(2);
    }
  } while (++tile != end);  // a row has a tile: a check before the first would cost registers
}

// The strips of rows [begin, end), for kTokens tokens.
template <typename Format, int kTokens>
NEARFAR_NOINLINE void MultiplyDirectly(const MatMulArgs& args, int64_t begin, int64_t end,
                                       int64_t token) {
  using Tile = typename Format::Tile;
  const int64_t tiles = TilesOfRow<Format>(args.cols);
  const uint8_t* strip = args.weights + begin / kStripRows * args.weight_stride;
  for (int64_t row = begin; row < end; row += kStripRows, strip += args.weight_stride) {
    F32 sums[kGroups][kTokens];
    for (int g = 0; g < kGroups; ++g) {
      for (int t = 0; t < kTokens; ++t) sums[g][t] = Set(0.0f);
    }
    AddStrip<Format>(reinterpret_cast<const Tile*>(strip), tiles,
                     TokenGroup<kTokens>(args.x, token), sums);
    WriteSums(args, row, token, sums);
  }
}

// A decoded block of kLanes rows.
template <typename Format>
struct DecodedGroup {
  Bytes w[kBlockPieces];
  F32 scale[1][Format::kScales];
  F32 offset[1];
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
          const uint8_t* pieces =
              InPiece(Format::template PiecesOf<half.value>(tile->pairs[pair]), g);
          typename Format::template Planes<1> planes;
          Format::template LoadPlanes<half.value>(tile->pairs[pair], g, &planes);
          Unroll<kBlockPieces>([&](auto i) NEARFAR_LAMBDA_INLINE {
            Bytes packed[1];
            LoadPiece(pieces, packed);
            group.w[i.value] =
                Format::template Word<half.value, false, i.value>(packed[0], planes, 0);
          });
          LoadScales<Format, half.value>(*tile, pair, g, group.scale, group.offset);
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
        const BlockNumbers block(x.blocks[t.value][b]);
        BlockDots<Format> dots;
        dots.template Begin<0>(block);
        Unroll<kBlockPieces>([&](auto i) NEARFAR_LAMBDA_INLINE {
          dots.template Add<i.value>(group.w[i.value], x.values[t.value] + b * kActivationBlock);
        });
        sums[g.value][t.value] =
            dots.template Finish<0>(group.scale[0], group.offset[0], block, sums[g.value][t.value]);
      });
    });
  }
  WriteSums(args, row, token, sums);
}

// Calls function(first token, Constant<count>()) for tiles of kTokenTile tokens and for the rest.
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

// Each strip for all tokens, while it is in the cache.
template <typename Format>
void MultiplyAllDirectly(const MatMulArgs& args) {
  const int64_t step = args.x.tokens <= kTokenTile ? args.rows : kStripRows;
  for (int64_t row = 0; row < args.rows; row += step) {
    ForTokenTiles(args.x.tokens, [&](int64_t token, auto count) {
      MultiplyDirectly<Format, decltype(count)::value>(args, row, row + step, token);
    });
  }
}

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
    MultiplyAllDirectly<Format>(args);
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
