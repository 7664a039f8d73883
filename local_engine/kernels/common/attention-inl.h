// Attention of query rows to one part of the KV cache, in tiles of 64 positions, with the online
// softmax of Milakov and Gimelshein (2018, arXiv 1805.02867) and of FlashAttention.
//
// Keys are kept in columns (lanes are positions), so a score needs no adding across lanes. The
// query heads of a KV group share each read; where there are more rows than fit into the registers
// (the tokens of a prefill), a tile is turned into f32 once for all of them. Each query row's
// operations and their order depend on its own positions alone, so a token gets the same bits alone
// as in a batch. Held by tests/local_engine/kernels/attention_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_ATTENTION_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_ATTENTION_INL_H_

#include "local_engine/kernels/common/exp-inl.h"
#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/rows-inl.h"
#include "local_engine/kernels/common/unroll-inl.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar::kernels {
namespace {

constexpr int kTilePositions = 64;

NEARFAR_INLINE int64_t PaddedWidth(int64_t head_width) {
  return (head_width + 2 * kLanes - 1) / (2 * kLanes) * (2 * kLanes);
}

// The scratch of one tile.
struct AttentionTile {
  AttentionTile(uint8_t* scratch, int64_t head_width) : width(PaddedWidth(head_width)) {
    keys = reinterpret_cast<float*>(scratch);
    values = keys + width * kTilePositions;
    weights = values + width * kTilePositions;
  }
  int64_t width;   // head_width in whole pairs of vectors
  float* keys;     // [4, head_width, 16]
  float* values;   // [64, width]
  float* weights;  // [kQueryRows, 64]
};

// Where a tile's keys and values are read: the cache itself, or the scratch.
struct CacheTile {
  const uint16_t* keys;
  int64_t key_stride;  // between groups
  const uint16_t* values;
  int64_t value_stride;
  NEARFAR_INLINE F32 Key(int64_t d, int position) const {
    return LoadHalf(keys + position / kKeyGroup * key_stride + d * kKeyGroup +
                    position % kKeyGroup);
  }
  NEARFAR_INLINE F32 Value(int position, int64_t d) const {
    return LoadHalf(values + position * value_stride + d);
  }
};
struct FloatTile {
  const float* keys;
  int64_t key_stride;
  const float* values;
  int64_t value_stride;
  NEARFAR_INLINE F32 Key(int64_t d, int position) const {
    return Load(keys + position / kKeyGroup * key_stride + d * kKeyGroup + position % kKeyGroup);
  }
  NEARFAR_INLINE F32 Value(int position, int64_t d) const {
    return Load(values + position * value_stride + d);
  }
};

int64_t AttentionStateFloats(int64_t head_width) {
  return kAttentionStateHead + PaddedWidth(head_width);
}

int64_t AttentionScratchBytes(int64_t head_width) {
  const int64_t floats = 2 * PaddedWidth(head_width) * kTilePositions + kQueryRows * kTilePositions;
  return floats * static_cast<int64_t>(sizeof(float));
}

NEARFAR_INLINE F32 LoadSomeHalf(const uint16_t* from, int64_t n) {
  if (n >= kLanes) return LoadHalf(from);
  uint16_t lanes[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = from[i];
  return LoadHalf(lanes);
}

// Whole groups, as far as they hold one of the positions [0, n).
NEARFAR_INLINE void ReadKeys(const uint16_t* keys, int64_t stride, int n, int64_t head_width,
                             const AttentionTile& tile) {
  for (int group = 0; group * kKeyGroup < n; ++group) {
    const uint16_t* from = keys + group * stride;
    float* to = tile.keys + group * head_width * kKeyGroup;
    for (int64_t i = 0; i < head_width * kKeyGroup; i += kLanes) Store(to + i, LoadHalf(from + i));
  }
}

NEARFAR_INLINE void ReadValues(const uint16_t* values, int64_t stride, int n, int64_t head_width,
                               const AttentionTile& tile) {
  for (int i = 0; i < n; ++i) {
    for (int64_t d = 0; d < tile.width; d += kLanes) {
      const int64_t left = head_width - d;
      Store(tile.values + i * tile.width + d,
            left > 0 ? LoadSomeHalf(values + i * stride + d, left) : Set(0.0f));
    }
  }
}

// weights[row][position] = scale * query . key for kVectors vectors of positions from `first`.
template <int kRows, int kVectors, typename Source>
NEARFAR_INLINE void ScoreVectors(const float* const* queries, int first, int64_t head_width,
                                 float scale, const Source& source, float* weights) {
  F32 sums[kVectors][kRows];
  for (int v = 0; v < kVectors; ++v) {
    for (int r = 0; r < kRows; ++r) sums[v][r] = Set(0.0f);
  }
  for (int64_t d = 0; d < head_width; ++d) {
    for (int v = 0; v < kVectors; ++v) {
      const F32 key = source.Key(d, first + v * kLanes);
      for (int r = 0; r < kRows; ++r) sums[v][r] = Fma(Set(queries[r][d]), key, sums[v][r]);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    for (int r = 0; r < kRows; ++r) {
      Store(weights + r * kTilePositions + first + v * kLanes, Mul(sums[v][r], Set(scale)));
    }
  }
}

// The scores of all positions of whole vectors below n. Several vectors at once, so that the sums
// do not wait for each other.
template <int kRows, typename Source>
NEARFAR_INLINE void Scores(const float* const* queries, int n, int64_t head_width, float scale,
                           const Source& source, float* weights) {
  constexpr int kFit = 2 * kQueryRows / kRows, kTile = kTilePositions / kLanes;
  constexpr int kVectors = kFit < kTile ? kFit : kTile;
  int first = 0;
  for (; first + kVectors * kLanes <= n; first += kVectors * kLanes) {
    ScoreVectors<kRows, kVectors>(queries, first, head_width, scale, source, weights);
  }
  for (; first < n; first += kLanes) {
    ScoreVectors<kRows, 1>(queries, first, head_width, scale, source, weights);
  }
}

NEARFAR_INLINE void ScaleState(float* state, int64_t width, float factor) {
  state[1] *= factor;
  for (int64_t d = 0; d < width; d += kLanes) {
    float* at = state + kAttentionStateHead + d;
    Store(at, Mul(Load(at), Set(factor)));
  }
}

// Turns n scores into weights e^(score - largest), and brings the state to the same largest score.
NEARFAR_INLINE void SoftmaxTile(float* weights, int n, int64_t width, float* state) {
  const float none = -__builtin_inff();
  for (int i = n; i % kLanes != 0; ++i) weights[i] = none;
  F32 most = Set(state[0]);
  for (int i = 0; i < n; i += kLanes) most = Max(Load(weights + i), most);
  const float largest = MaxLanes(most);
  if (largest > state[0]) {
    ScaleState(state, width, ExpOne(state[0] - largest));
    state[0] = largest;
  }
  F32 sum = Set(0.0f);
  for (int i = 0; i < n; i += kLanes) {
    const F32 weight = Exp(Sub(Load(weights + i), Set(largest)));
    Store(weights + i, weight);
    sum = Add(sum, weight);
  }
  state[1] += SumLanes(sum);
}

// state += weights of positions [begin, end) times their values.
template <int kRows, typename Source>
NEARFAR_INLINE void AddValues(float* const* states, const float* const* weights, int begin, int end,
                              int64_t width, const Source& source) {
  for (int64_t d = 0; d < width; d += 2 * kLanes) {
    F32 even[kRows], odd[kRows];
    for (int r = 0; r < kRows; ++r) {
      even[r] = Load(states[r] + kAttentionStateHead + d);
      odd[r] = Load(states[r] + kAttentionStateHead + d + kLanes);
    }
    for (int i = begin; i < end; ++i) {
      const F32 value0 = source.Value(i, d);
      const F32 value1 = source.Value(i, d + kLanes);
      for (int r = 0; r < kRows; ++r) {
        const F32 weight = Set(weights[r][i]);
        even[r] = Fma(weight, value0, even[r]);
        odd[r] = Fma(weight, value1, odd[r]);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      Store(states[r] + kAttentionStateHead + d, even[r]);
      Store(states[r] + kAttentionStateHead + d + kLanes, odd[r]);
    }
  }
}

// kRows query rows against the tile; row r sees its first seen[r] positions. Unseen values are not
// even multiplied by zero: what stands there may not be a number yet.
template <int kRows, typename Source>
NEARFAR_INLINE void AttendRows(const AttentionPartArgs& args, int row, const int* seen,
                               const AttentionTile& tile, const Source& source) {
  int least = seen[0], most = seen[0];
  for (int r = 1; r < kRows; ++r) {
    least = seen[r] < least ? seen[r] : least;
    most = seen[r] > most ? seen[r] : most;
  }
  if (most == 0) return;
  Scores<kRows>(args.queries + row, most, args.head_width, args.scale, source, tile.weights);
  const float* weights[kRows];
  for (int r = 0; r < kRows; ++r) {
    float* mine = tile.weights + r * kTilePositions;
    weights[r] = mine;
    if (seen[r] > 0) SoftmaxTile(mine, seen[r], tile.width, args.states[row + r]);
  }
  AddValues<kRows>(args.states + row, weights, 0, least, tile.width, source);
  for (int r = 0; r < kRows; ++r) {
    AddValues<1>(args.states + row + r, weights + r, least, seen[r], tile.width, source);
  }
}

template <typename Source>
NEARFAR_NOINLINE void AttendTile(const AttentionPartArgs& args, int begin,
                                 const AttentionTile& tile, const Source& source) {
  for (int row = 0; row < args.rows; row += kQueryRows) {
    const int count = args.rows - row < kQueryRows ? args.rows - row : kQueryRows;
    int seen[kQueryRows];
    for (int r = 0; r < count; ++r) {
      const int left = args.visible[row + r] - begin;
      seen[r] = left < 0 ? 0 : left < kTilePositions ? left : kTilePositions;
    }
    WithCount<kQueryRows>(count, [&](auto rows) {
      AttendRows<decltype(rows)::value>(args, row, seen, tile, source);
    });
  }
}

void AttentionPart(const AttentionPartArgs& args) {
  const AttentionTile tile(args.scratch, args.head_width);
  int most = 0;
  for (int row = 0; row < args.rows; ++row) {
    float* state = args.states[row];
    for (int64_t i = 0; i < AttentionStateFloats(args.head_width); ++i) state[i] = 0.0f;
    state[0] = -__builtin_inff();
    most = args.visible[row] > most ? args.visible[row] : most;
  }
  for (int begin = 0; begin < most; begin += kTilePositions) {
    const int n = most - begin < kTilePositions ? most - begin : kTilePositions;
    const CacheTile cache = {.keys = args.keys + begin / kKeyGroup * args.key_stride,
                             .key_stride = args.key_stride,
                             .values = args.values + begin * args.value_stride,
                             .value_stride = args.value_stride};
    if (args.rows <= kQueryRows && tile.width == args.head_width) {
      AttendTile(args, begin, tile, cache);
      continue;
    }
    ReadKeys(cache.keys, cache.key_stride, n, args.head_width, tile);
    ReadValues(cache.values, cache.value_stride, n, args.head_width, tile);
    AttendTile(args, begin, tile,
               FloatTile{.keys = tile.keys,
                         .key_stride = args.head_width * kKeyGroup,
                         .values = tile.values,
                         .value_stride = tile.width});
  }
}

void AttentionMerge(float* into, const float* part, int64_t head_width) {
  if (part[1] == 0.0f) return;
  const int64_t width = PaddedWidth(head_width);
  const float largest = into[0] > part[0] ? into[0] : part[0];
  const float factor = ExpOne(part[0] - largest);
  if (largest > into[0]) ScaleState(into, width, ExpOne(into[0] - largest));
  into[0] = largest;
  into[1] += factor * part[1];
  for (int64_t d = kAttentionStateHead; d < kAttentionStateHead + width; d += kLanes) {
    Store(into + d, Fma(Set(factor), Load(part + d), Load(into + d)));
  }
}

void AttentionFinish(const float* state, int64_t head_width, float* out) {
  const F32 inverse = Set(1.0f / state[1]);
  for (int64_t d = 0; d < head_width; d += kLanes) {
    StoreSome(out + d, head_width - d, Mul(Load(state + kAttentionStateHead + d), inverse));
  }
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_ATTENTION_INL_H_
