// The panel of instruction sets that multiply two rows by two tokens at once: SMMLA takes, from
// every 128 bits of its operands, eight columns of two rows and of two tokens, and adds to four
// sums {row 0 token 0, row 0 token 1, row 1 token 0, row 1 token 1}. Each does the work of two of
// Dot's instructions, if both operands lie as it wants them: a strip's blocks are put so when they
// are decoded, and the tokens once for the rows of a call.
//
// The integers are exact and each sum gets the operations of BlockDots::Finish in their order, so a
// token gets the same bits as alone. Such a simd.h has these words beside its others:
//   ZipLow, ZipHigh     of two Bytes by words of four, of two F32: those of their lower (upper)
//                       halves by turns, so that rows of two pieces stand in pairs
//   Evens, Odds         of two F32: every other lane, beginning with the first (second)
//   Minus<n>            Bytes, each less n
//   MultiplyPairs       the sums of pairs (I32), and of rows and tokens (Bytes)
//   LoadQuartet         four Bytes or F32 that stand side by side; returns their end
//   LoadPairValue       Bytes: 16 bytes of memory, in each 128 bits
//   LoadPairQuartet     four Bytes or F32, each as LoadPairValue's, one after the other; returns
//                       their end
// Include after matmul_packed-inl.h. Held by tests/local_engine/kernels/matmul_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_PAIR_PANEL_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_PAIR_PANEL_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/matmul_packed-inl.h"
#include "local_engine/kernels/common/packed_formats-inl.h"
#include "local_engine/kernels/common/unroll-inl.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar::kernels {
namespace {

constexpr int kPairColumns = 8;  // of one product
constexpr int kPairSteps = kBlockColumns / kPairColumns;
// Two groups of rows, in two vectors each, and two pairs of tokens: their sums of integers and of
// floats, and the operands, fill 32 registers.
constexpr int kPairGroups = 2;
constexpr int kPairVectors = 2 * kPairGroups;
constexpr int kTilePairs = 2;
constexpr int kPairTokens = 2 * kTilePairs;
constexpr int kPairTiles = kGroups / kPairGroups;  // of a strip
static_assert(kGroups % kPairGroups == 0);
// Tokens that lie in the scratch memory at once: a prompt's chunk of the engine, and the tokens of
// some sequences that decode beside it.
constexpr int kMostTokenTiles = 36;

// A block of the tokens of a tile, in the order in which it is read: one pointer runs through all
// of it. Scales and sums as the sums of a product lie: {first, second, first, second}.
struct TokenTile {
  float scale[kTilePairs][4];
  float sum[kTilePairs][4];
  int8_t values[kPairSteps][kTilePairs][2][kPairColumns];
};

NEARFAR_INLINE void PutToken(const int8_t* values, const ActivationBlock& x, int which,
                             TokenTile* tile) {
  const int pair = which / 2, of_pair = which % 2;
  for (int step = 0; step < kPairSteps; ++step) {
    memcpy(tile->values[step][pair][of_pair], values + step * kPairColumns, kPairColumns);
  }
  tile->scale[pair][of_pair] = tile->scale[pair][of_pair + 2] = x.scale;
  tile->sum[pair][of_pair] = tile->sum[pair][of_pair + 2] = x.sum;
}

// A decoded block of kPairGroups groups, in the order in which it is read.
template <bool kThere>
struct PairOffset {
  F32 rows[kPairVectors];
};
template <>
struct PairOffset<false> {};
template <typename Format>
struct PairBlock {
  static constexpr int kSteps = kPairSteps / Format::kScales;
  static_assert(kSteps % 2 == 0);  // a quartet of the tokens' values is two steps
  struct Part {                    // columns that share a scale
    Bytes w[kSteps][kPairVectors];
    F32 scale[kPairVectors];
  };
  Part parts[Format::kScales];
  [[no_unique_address]] PairOffset<Format::kOffset> offset;
};

// sums += the products of the first kPairs pairs of the tokens at *tokens and of the block at
// *rows, behind which both then are.
template <typename Format, int kPairs>
NEARFAR_INLINE void AddPairBlock(const uint8_t** rows, const uint8_t** tokens,
                                 F32 (&sums)[kPairs][kPairVectors]) {
  F32 numbers[2 * kTilePairs];  // the scales of each pair, then the sums
  *tokens = LoadPairQuartet(*tokens, numbers);
  Unroll<Format::kScales>([&](auto part) NEARFAR_LAMBDA_INLINE {
    constexpr int kSteps = PairBlock<Format>::kSteps;
    I32 dots[kPairs][kPairVectors];
    for (int p = 0; p < kPairs; ++p) {
      for (int v = 0; v < kPairVectors; ++v) dots[p][v] = SetInts(0);
    }
    Bytes values[2 * kTilePairs];  // of two steps
    for (int step = 0; step < kSteps; ++step) {
      if (step % 2 == 0) *tokens = LoadPairQuartet(*tokens, values);
      Bytes w[kPairVectors];
      *rows = LoadQuartet(*rows, w);
      for (int p = 0; p < kPairs; ++p) {
        for (int v = 0; v < kPairVectors; ++v) {
          dots[p][v] = MultiplyPairs(dots[p][v], w[v], values[step % 2 * kTilePairs + p]);
        }
      }
    }
    F32 scale[kPairVectors];
    *rows = LoadQuartet(*rows, scale);
    for (int p = 0; p < kPairs; ++p) {
      for (int v = 0; v < kPairVectors; ++v) {
        sums[p][v] = Fma(ToFloat(dots[p][v]), Mul(scale[v], numbers[p]), sums[p][v]);
      }
    }
  });
  if constexpr (Format::kOffset) {
    F32 offset[kPairVectors];
    *rows = LoadQuartet(*rows, offset);
    for (int p = 0; p < kPairs; ++p) {
      for (int v = 0; v < kPairVectors; ++v) {
        sums[p][v] = Fma(offset[v], numbers[kTilePairs + p], sums[p][v]);
      }
    }
  }
}

// Writes the sums of kPairs pairs for rows [row, row + kPairGroups * kLanes). The last token may be
// none.
template <int kPairs>
NEARFAR_INLINE void WritePairs(const MatMulArgs& args, int64_t row, int64_t token,
                               const F32 (&sums)[kPairs][kPairVectors]) {
  constexpr int kTokens = 2 * kPairs;
  F32 each[kPairGroups][kTokens], but_last[kPairGroups][kTokens - 1];
  Unroll<kPairs>([&](auto p) NEARFAR_LAMBDA_INLINE {
    Unroll<kPairGroups>([&](auto g) NEARFAR_LAMBDA_INLINE {
      const F32* two = sums[p.value] + 2 * g.value;
      F32* const to = each[g.value] + 2 * p.value;
      to[0] = Evens(two[0], two[1]);
      to[1] = Odds(two[0], two[1]);
    });
  });
  if (token + kTokens <= args.x.tokens) return WriteSums(args, row, token, each);
  for (int g = 0; g < kPairGroups; ++g) {
    for (int t = 0; t < kTokens - 1; ++t) but_last[g][t] = each[g][t];
  }
  WriteSums(args, row, token, but_last);
}

// Rows [row, row + kPairGroups * kLanes) and kPairs pairs of tokens, which lie at x: `blocks`
// blocks of each.
template <typename Format, int kPairs>
NEARFAR_NOINLINE void MultiplyPairTile(const MatMulArgs& args, const PairBlock<Format>* block,
                                       const TokenTile* x, int64_t blocks, int64_t row,
                                       int64_t token) {
  F32 sums[kPairs][kPairVectors];
  for (int p = 0; p < kPairs; ++p) {
    for (int v = 0; v < kPairVectors; ++v) sums[p][v] = Set(0.0f);
  }
  const uint8_t* rows = reinterpret_cast<const uint8_t*>(block);
  const uint8_t* tokens = reinterpret_cast<const uint8_t*>(x);
  const uint8_t* const end = reinterpret_cast<const uint8_t*>(x + blocks);
  do {
    AddPairBlock<Format, kPairs>(&rows, &tokens, sums);
  } while (tokens != end);  // a row has a block
  WritePairs<kPairs>(args, row, token, sums);
}

// Dot's form of this product, for limits-inl.h: kLanes / 2 rows and two tokens.
class PairDot {
 public:
  NEARFAR_INLINE void Begin(I32 start) { sums_ = start; }
  template <int kStep>
  NEARFAR_INLINE void Add(Bytes w, const int8_t* a) {
    sums_ = MultiplyPairs(sums_, w, LoadPairValue(a + kStep * 2 * kPairColumns));
  }
  NEARFAR_INLINE I32 Sum() const { return sums_; }

 private:
  I32 sums_;
};

// A Panel of matmul_packed-inl.h.
template <typename Format>
class PairPanel {
 public:
  using PeakDot = PairDot;
  static constexpr int kPeakSteps = kPairSteps;
  static constexpr int64_t kMostTokens = kPairTokens * kMostTokenTiles;
  static constexpr int64_t BytesOf(int64_t blocks) {
    return blocks * static_cast<int64_t>(kPairTiles * sizeof(PairBlock<Format>) +
                                         kMostTokenTiles * sizeof(TokenTile));
  }

  explicit PairPanel(const MatMulArgs& args)
      : args_(args),
        blocks_(2 * Format::kPairs * TilesOfRow<Format>(args.cols)),
        rows_(reinterpret_cast<PairBlock<Format>*>(args.scratch)),
        tokens_(reinterpret_cast<TokenTile*>(rows_ + kPairTiles * blocks_)) {}

  // The last token of an odd number stands beside itself.
  void TakeTokens(int64_t first) {
    const ActivationView& x = args_.x;
    first_ = first;
    end_ = first + kMostTokens < x.tokens ? first + kMostTokens : x.tokens;
    for (int64_t token = first; token < (end_ + 1) / 2 * 2; ++token) {
      const int64_t block = (token < end_ ? token : end_ - 1) * x.blocks_per_token;
      TokenTile* to = tokens_ + (token - first) / kPairTokens * blocks_;
      for (int64_t b = 0; b < blocks_; ++b) {
        PutToken(x.values + (block + b) * kActivationBlock, x.blocks[block + b],
                 static_cast<int>((token - first) % kPairTokens), to + b);
      }
    }
  }

  NEARFAR_INLINE void Put(int64_t block, int g, const DecodedGroup<Format>& group) const {
    constexpr int kSteps = PairBlock<Format>::kSteps;
    PairBlock<Format>& to = rows_[g / kPairGroups * blocks_ + block];
    const int v = g % kPairGroups * 2;
    Unroll<kPairSteps>([&](auto step) NEARFAR_LAMBDA_INLINE {
      const Bytes first = Minus<Format::kBias>(group.w[2 * step.value]);
      const Bytes second = Minus<Format::kBias>(group.w[2 * step.value + 1]);
      Bytes* w = to.parts[step.value / kSteps].w[step.value % kSteps];
      w[v] = ZipLow(first, second);
      w[v + 1] = ZipHigh(first, second);
    });
    for (int i = 0; i < Format::kScales; ++i) {
      to.parts[i].scale[v] = ZipLow(group.scale[0][i], group.scale[0][i]);
      to.parts[i].scale[v + 1] = ZipHigh(group.scale[0][i], group.scale[0][i]);
    }
    if constexpr (Format::kOffset) {
      to.offset.rows[v] = ZipLow(group.offset[0], group.offset[0]);
      to.offset.rows[v + 1] = ZipHigh(group.offset[0], group.offset[0]);
    }
  }

  void Multiply(int64_t row) const {
    for (int tile = 0; tile < kPairTiles; ++tile, row += kPairGroups * kLanes) {
      if (row < args_.rows) MultiplyRows(rows_ + tile * blocks_, row);
    }
  }

 private:
  void MultiplyRows(const PairBlock<Format>* block, int64_t row) const {
    const TokenTile* x = tokens_;
    int64_t token = first_;
    for (; token + kPairTokens - 1 <= end_; token += kPairTokens, x += blocks_) {
      MultiplyPairTile<Format, kTilePairs>(args_, block, x, blocks_, row, token);
    }
    if (token < end_) MultiplyPairTile<Format, 1>(args_, block, x, blocks_, row, token);
  }

  const MatMulArgs& args_;
  const int64_t blocks_;           // of a row
  PairBlock<Format>* const rows_;  // [kPairTiles, blocks]
  TokenTile* const tokens_;        // [kMostTokenTiles, blocks], of tokens [first_, end_)
  int64_t first_ = 0, end_ = 0;
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_PAIR_PANEL_INL_H_
