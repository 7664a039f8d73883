// The product of quantized weights and quantized activations, for every format of tile-inl.h.
//
// Few tokens: a tile is decoded into registers and used at once. More tokens: kLanes rows are
// decoded once into a panel in the scratch memory, then multiplied with kTokenTile tokens at a
// time. Both do the same operations in the same order for a row and a token, so both give the same
// bits. Held by tests/local_engine/kernels/matmul_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MATMUL_TILES_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MATMUL_TILES_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/tile-inl.h"
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

template <typename Format>
NEARFAR_INLINE F32 ScaledSum(const Tile<1, true>& tile, const int8_t* values,
                             const ActivationBlock& x, F32 sum) {
  Dot<Format::kBits> dot;
  dot.Add16(tile.w, values);
  dot.Add16(tile.w + 4, values + 16);
  const F32 offset = Mul(tile.offset[0], Set(x.sum));
  return Add(sum, Fma(dot.Sum(), Mul(tile.scale[0], Set(x.scale)), offset));
}

template <typename Format>
NEARFAR_INLINE F32 ScaledSum(const Tile<1, false>& tile, const int8_t* values,
                             const ActivationBlock& x, F32 sum) {
  Dot<Format::kBits> dot;
  dot.Add16(tile.w, values);
  dot.Add16(tile.w + 4, values + 16);
  return Fma(dot.Sum(), Mul(tile.scale[0], Set(x.scale)), sum);
}

template <typename Format>
NEARFAR_INLINE F32 ScaledSum(const Tile<2, true>& tile, const int8_t* values,
                             const ActivationBlock& x, F32 sum) {
  Dot<Format::kBits> low, high;
  low.Add16(tile.w, values);
  high.Add16(tile.w + 4, values + 16);
  const F32 scale = Set(x.scale);
  const F32 offset = Fma(tile.offset[0], Set(x.sum_low), Mul(tile.offset[1], Set(x.sum_high)));
  const F32 first = Fma(low.Sum(), Mul(tile.scale[0], scale), offset);
  return Add(sum, Fma(high.Sum(), Mul(tile.scale[1], scale), first));
}

// Adds 32 columns to the sums of kTokens tokens.
template <typename Format, int kTokens>
NEARFAR_INLINE void AddTile(const TileOf<Format>& tile, const TokenGroup<kTokens>& tokens,
                            int64_t block, F32 sums[kTokens]) {
  for (int t = 0; t < kTokens; ++t) {
    sums[t] = ScaledSum<Format>(tile, tokens.values[t] + block * kActivationBlock,
                                tokens.blocks[t][block], sums[t]);
  }
}

// Asks for the rows of the next tile while this one is computed. A tile's rows lie one after the
// other in memory but are read side by side, a few bytes of each at a time, which no hardware
// prefetcher follows; the next tile is simply the next bytes.
class TilePrefetch {
 public:
  // Nothing is asked for beyond `end`.
  NEARFAR_INLINE TilePrefetch(const uint8_t* next, const uint8_t* end) : next_(next), end_(end) {}

  NEARFAR_INLINE void Advance(int64_t bytes) {
    const uint8_t* until = next_ + bytes < end_ ? next_ + bytes : end_;
    for (; next_ < until; next_ += kLine) __builtin_prefetch(next_, 0, 2);
  }

 private:
  static constexpr int64_t kLine = 64;
  const uint8_t* next_;
  const uint8_t* end_;
};

// Decodes the rows' columns in order; visit(tile, block of 32 columns).
template <typename Format, typename Visit>
NEARFAR_INLINE void DecodeRows(const Rows& rows, int64_t cols, TilePrefetch prefetch, Visit visit) {
  constexpr int kParts = Format::kColumns / kActivationBlock / Format::kTiles;
  const int64_t blocks = cols / Format::kColumns;
  int64_t column_block = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    prefetch.Advance(kLanes * Format::kBlockBytes);
    const int64_t at = block * Format::kBlockBytes;
    const typename Format::Header header(rows, at);
    for (int part = 0; part < kParts; ++part) {
      TileOf<Format> tiles[Format::kTiles];
      Format::Decode(header, rows, at, part, tiles);
      for (int i = 0; i < Format::kTiles; ++i) visit(tiles[i], column_block++);
    }
  }
}

NEARFAR_INLINE Rows RowsFrom(const MatMulArgs& args, int64_t first) {
  Rows rows;
  for (int r = 0; r < kLanes; ++r) {
    const int64_t row = first + r < args.rows ? first + r : args.rows - 1;
    rows.at[r] = args.weights + row * args.row_bytes;
  }
  return rows;
}

NEARFAR_INLINE TilePrefetch PrefetchAfter(const MatMulArgs& args, int64_t first) {
  return TilePrefetch(args.weights + (first + kLanes) * args.row_bytes,
                      args.weights + args.rows * args.row_bytes);
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

template <typename Format, int kTokens>
NEARFAR_NOINLINE void MultiplyDirect(const MatMulArgs& args, int64_t row, int64_t token) {
  const TokenGroup<kTokens> tokens(args.x, token);
  F32 sums[kTokens];
  for (F32& sum : sums) sum = Set(0.0f);
  DecodeRows<Format>(RowsFrom(args, row), args.cols, PrefetchAfter(args, row),
                     [&](const TileOf<Format>& tile, int64_t block) NEARFAR_LAMBDA_INLINE {
                       AddTile<Format, kTokens>(tile, tokens, block, sums);
                     });
  for (int t = 0; t < kTokens; ++t) WriteSums(args, row, token + t, sums[t]);
}

template <typename Format, int kTokens>
NEARFAR_NOINLINE void MultiplyPanel(const MatMulArgs& args, const TileOf<Format>* panel,
                                    int64_t row, int64_t token) {
  const TokenGroup<kTokens> tokens(args.x, token);
  F32 sums[kTokens];
  for (F32& sum : sums) sum = Set(0.0f);
  const int64_t blocks = args.cols / kActivationBlock;
  for (int64_t block = 0; block < blocks; ++block) {
    AddTile<Format, kTokens>(panel[block], tokens, block, sums);
  }
  for (int t = 0; t < kTokens; ++t) WriteSums(args, row, token + t, sums[t]);
}

template <int kValue>
struct Count {
  static constexpr int value = kValue;
};

// Calls function(Count<n>()) for n in [1, kMost].
template <int kMost, typename Function>
NEARFAR_INLINE void WithCount(int n, Function function) {
  if constexpr (kMost > 1) {
    if (n < kMost) {
      WithCount<kMost - 1>(n, function);
      return;
    }
  }
  function(Count<kMost>());
}

template <typename Format>
void MultiplyRows(const MatMulArgs& args, int64_t row) {
  const int64_t tokens = args.x.tokens;
  if (tokens <= kTokenTile) {
    WithCount<kTokenTile>(static_cast<int>(tokens), [&](auto count) {
      MultiplyDirect<Format, decltype(count)::value>(args, row, 0);
    });
    return;
  }
  TileOf<Format>* panel = reinterpret_cast<TileOf<Format>*>(args.scratch);
  DecodeRows<Format>(RowsFrom(args, row), args.cols, PrefetchAfter(args, row),
                     [&](const TileOf<Format>& tile, int64_t block)
                         NEARFAR_LAMBDA_INLINE { panel[block] = tile; });
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
void MatMulTiles(const MatMulArgs& args) {
  if (args.x.tokens == 0) return;
  TilePrefetch(args.weights, args.weights + args.rows * args.row_bytes)
      .Advance(kLanes * args.row_bytes);
  for (int64_t row = 0; row < args.rows; row += kLanes) MultiplyRows<Format>(args, row);
}

// One panel of the largest tile.
int64_t MatMulScratchBytes(int64_t cols) {
  return static_cast<int64_t>(sizeof(Tile<2, true>)) * (cols / kActivationBlock);
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MATMUL_TILES_INL_H_
