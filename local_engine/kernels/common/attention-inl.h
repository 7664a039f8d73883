// Attention of query rows to one part of the KV cache, in tiles of 64 positions, with the online
// softmax of Milakov and Gimelshein (2018, arXiv 1805.02867) and of FlashAttention.
//
// A tile's keys are turned into f32 columns (lanes are positions: a score needs no adding across
// lanes) and its values into f32 rows, once for all query rows: the heads of a KV group and, in a
// prefill, the tokens of a block. Each query row's operations and their order depend on its own
// positions alone, so a token gets the same bits alone as in a batch.
// Held by tests/local_engine/kernels/attention_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_ATTENTION_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_ATTENTION_INL_H_

#include "local_engine/kernels/common/exp-inl.h"
#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/matmul_tiles-inl.h"
#include "local_engine/kernels/common/rows-inl.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar::kernels {
namespace {

constexpr int kTilePositions = 64;
constexpr int kQueryRows = 4;  // rows that share a load of keys or values

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
  float* keys;     // [head_width, 64]
  float* values;   // [64, width]
  float* weights;  // [kQueryRows, 64]
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

// Positions [0, n) of the tile; what is left of the last vector of positions becomes zero.
NEARFAR_INLINE void ReadKeys(const uint16_t* keys, int64_t stride, int n, int64_t head_width,
                             const AttentionTile& tile) {
  for (int first = 0; first < n; first += kLanes) {
    for (int64_t d = 0; d < head_width; d += kLanes) {
      F32 square[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        square[i] = first + i < n ? LoadSomeHalf(keys + (first + i) * stride + d, head_width - d)
                                  : Set(0.0f);
      }
      Transpose(square);
      for (int i = 0; i < kLanes; ++i)
        Store(tile.keys + (d + i) * kTilePositions + first, square[i]);
    }
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

// weights[row][position] = scale * query . key for all positions of whole vectors below n.
template <int kRows>
NEARFAR_INLINE void Scores(const float* const* queries, int n, int64_t head_width, float scale,
                           const AttentionTile& tile) {
  for (int first = 0; first < n; first += 2 * kLanes) {
    F32 even[kRows], odd[kRows];
    for (int r = 0; r < kRows; ++r) even[r] = odd[r] = Set(0.0f);
    for (int64_t d = 0; d < head_width; ++d) {
      const F32 key0 = Load(tile.keys + d * kTilePositions + first);
      const F32 key1 = Load(tile.keys + d * kTilePositions + first + kLanes);
      for (int r = 0; r < kRows; ++r) {
        const F32 query = Set(queries[r][d]);
        even[r] = Fma(query, key0, even[r]);
        odd[r] = Fma(query, key1, odd[r]);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      float* to = tile.weights + r * kTilePositions + first;
      Store(to, Mul(even[r], Set(scale)));
      Store(to + kLanes, Mul(odd[r], Set(scale)));
    }
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
template <int kRows>
NEARFAR_INLINE void AddValues(float* const* states, const float* const* weights, int begin, int end,
                              const AttentionTile& tile) {
  for (int64_t d = 0; d < tile.width; d += 2 * kLanes) {
    F32 even[kRows], odd[kRows];
    for (int r = 0; r < kRows; ++r) {
      even[r] = Load(states[r] + kAttentionStateHead + d);
      odd[r] = Load(states[r] + kAttentionStateHead + d + kLanes);
    }
    for (int i = begin; i < end; ++i) {
      const F32 value0 = Load(tile.values + i * tile.width + d);
      const F32 value1 = Load(tile.values + i * tile.width + d + kLanes);
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
template <int kRows>
NEARFAR_INLINE void AttendRows(const AttentionPartArgs& args, int row, const int* seen,
                               const AttentionTile& tile) {
  int least = seen[0], most = seen[0];
  for (int r = 1; r < kRows; ++r) {
    least = seen[r] < least ? seen[r] : least;
    most = seen[r] > most ? seen[r] : most;
  }
  if (most == 0) return;
  Scores<kRows>(args.queries + row, most, args.head_width, args.scale, tile);
  const float* weights[kRows];
  for (int r = 0; r < kRows; ++r) {
    float* mine = tile.weights + r * kTilePositions;
    weights[r] = mine;
    if (seen[r] > 0) SoftmaxTile(mine, seen[r], tile.width, args.states[row + r]);
  }
  AddValues<kRows>(args.states + row, weights, 0, least, tile);
  for (int r = 0; r < kRows; ++r) {
    AddValues<1>(args.states + row + r, weights + r, least, seen[r], tile);
  }
}

NEARFAR_INLINE void AttendTile(const AttentionPartArgs& args, int begin,
                               const AttentionTile& tile) {
  for (int row = 0; row < args.rows; row += kQueryRows) {
    const int count = args.rows - row < kQueryRows ? args.rows - row : kQueryRows;
    int seen[kQueryRows];
    for (int r = 0; r < count; ++r) {
      const int left = args.visible[row + r] - begin;
      seen[r] = left < 0 ? 0 : left < kTilePositions ? left : kTilePositions;
    }
    WithCount<kQueryRows>(
        count, [&](auto rows) { AttendRows<decltype(rows)::value>(args, row, seen, tile); });
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
    ReadKeys(args.keys + begin * args.stride, args.stride, n, args.head_width, tile);
    ReadValues(args.values + begin * args.stride, args.stride, n, args.head_width, tile);
    AttendTile(args, begin, tile);
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
