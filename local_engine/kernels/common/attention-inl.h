// Attention of query rows to one part of the KV cache: all scores, one softmax, then the values.
// The parts are put together by the online softmax of Milakov and Gimelshein (2018, arXiv
// 1805.02867) and of FlashAttention.
//
// Keys are kept in columns (lanes are positions), so a score needs no adding across lanes. The
// query heads of a KV group share each read; where there are more rows than fit into the registers
// (the tokens of a prefill), keys and values are turned into f32 once for all of them, in tiles of
// 64 positions that stay in the nearest caches. Each query row's operations and their order depend
// on its own positions alone, so a token gets the same bits alone as in a batch. Held by
// tests/local_engine/kernels/attention_test.cc.

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
constexpr int kSums = 2 * kQueryRows;  // vectors of sums that fit into the registers

NEARFAR_INLINE int64_t PaddedWidth(int64_t head_width) {
  return (head_width + 2 * kLanes - 1) / (2 * kLanes) * (2 * kLanes);
}

struct AttentionScratch {
  AttentionScratch(uint8_t* scratch, int64_t head_width) : width(PaddedWidth(head_width)) {
    tile = reinterpret_cast<float*>(scratch);
    value_scales = tile + width * kTilePositions;
    weights = value_scales + kAttentionPart * KvBlocks(head_width);
  }
  int64_t width;        // head_width in whole pairs of vectors
  float* tile;          // of keys [4, head_width, 16], or of values [64, width]
  float* value_scales;  // [kAttentionPart, blocks]
  float* weights;       // [rows, kAttentionPart]
};

int64_t AttentionStateFloats(int64_t head_width) {
  return kAttentionStateHead + PaddedWidth(head_width);
}

int64_t AttentionScratchBytes(int64_t head_width, int64_t rows) {
  const int64_t floats =
      PaddedWidth(head_width) * kTilePositions + kAttentionPart * (KvBlocks(head_width) + rows);
  return floats * static_cast<int64_t>(sizeof(float));
}

// The arrays of a part. What is read of it is numbers, which stand for themselves or times a scale.
struct HalfPart {
  using Number = uint16_t;
  static constexpr bool kScaled = false;
  HalfPart(const uint8_t* kv, int64_t head_width)
      : keys(reinterpret_cast<const uint16_t*>(kv)), values(keys + kAttentionPart * head_width) {}
  const uint16_t* keys;
  const uint16_t* values;
  const uint16_t* key_scales = nullptr;
  const uint16_t* value_scales = nullptr;
};
struct BytePart {
  using Number = int8_t;
  static constexpr bool kScaled = true;
  BytePart(const uint8_t* kv, int64_t head_width)
      : keys(reinterpret_cast<const int8_t*>(kv)),
        values(keys + kAttentionPart * head_width),
        key_scales(reinterpret_cast<const uint16_t*>(values + kAttentionPart * head_width)),
        value_scales(key_scales + kAttentionPart * KvBlocks(head_width)) {}
  const int8_t* keys;
  const int8_t* values;
  const uint16_t* key_scales;
  const uint16_t* value_scales;
};

NEARFAR_INLINE F32 LoadNumbers(const float* from) { return Load(from); }
NEARFAR_INLINE F32 LoadNumbers(const uint16_t* from) { return LoadHalf(from); }
NEARFAR_INLINE F32 LoadNumbers(const int8_t* from) { return FromSigned8(from); }
template <typename Number>
NEARFAR_INLINE F32 LoadSomeNumbers(const Number* from, int64_t n) {
  if (n >= kLanes) return LoadNumbers(from);
  Number lanes[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = from[i];
  return LoadNumbers(lanes);
}

// Keys and values are one stream, which hardware prefetchers follow too late: asks for the place of
// the next kCount numbers in some time. A tile of f32 is near already.
template <int kCount, typename Number>
NEARFAR_INLINE void AskAhead(const Number* from) {
  constexpr int kAheadBytes = 8192, kLineBytes = 64;
  if constexpr (sizeof(Number) != sizeof(float)) {
    const uint8_t* ahead = reinterpret_cast<const uint8_t*>(from) + kAheadBytes;
    for (int i = 0; i < kCount * static_cast<int>(sizeof(Number)); i += kLineBytes) {
      __builtin_prefetch(ahead + i);
    }
  }
}

// Whole groups, as far as they hold one of the positions [0, n).
template <typename Number>
NEARFAR_INLINE void ReadKeys(const Number* keys, int n, int64_t head_width, float* tile) {
  const int64_t end = (n + kKeyGroup - 1) / kKeyGroup * kKeyGroup * head_width;
  for (int64_t i = 0; i < end; i += kLanes) {
    AskAhead<kLanes>(keys + i);
    Store(tile + i, LoadNumbers(keys + i));
  }
}

// scales [n, blocks] or null.
template <typename Number>
NEARFAR_INLINE void ReadValues(const Number* values, const float* scales, int n, int64_t head_width,
                               int64_t width, float* tile) {
  for (int i = 0; i < n; ++i) {
    const Number* from = values + i * head_width;
    for (int64_t d = 0; d < width; d += kLanes) {
      AskAhead<kLanes>(from + d);
      const int64_t left = head_width - d;
      F32 value = left > 0 ? LoadSomeNumbers(from + d, left) : Set(0.0f);
      if (scales != nullptr && left > 0) {
        value = Mul(value, Set(scales[i * KvBlocks(head_width) + d / kKvBlock]));
      }
      Store(tile + i * width + d, value);
    }
  }
}

// weights[row][position] = scale * query . key for kVectors vectors of positions from `first`: over
// all dimensions at once, or over those of a scale.
template <int kRows, int kVectors, bool kScaled, typename Number>
NEARFAR_INLINE void ScoreVectors(const float* const* queries, int first, int64_t head_width,
                                 float scale, const Number* keys, const uint16_t* key_scales,
                                 float* weights) {
  const Number* columns[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const int position = first + v * kLanes;
    columns[v] = keys + position / kKeyGroup * kKeyGroup * head_width + position % kKeyGroup;
  }
  for (int64_t begin = 0, end; begin < head_width; begin = end) {
    end = kScaled && begin + kKvBlock < head_width ? begin + kKvBlock : head_width;
    F32 sums[kVectors][kRows];
    for (int v = 0; v < kVectors; ++v) {
      for (int r = 0; r < kRows; ++r) sums[v][r] = Set(0.0f);
    }
    int64_t d = begin;
    for (; d + kMultipliers <= end; d += kMultipliers) {
      Multipliers query[kRows];
      for (int r = 0; r < kRows; ++r) query[r] = LoadMultipliers(queries[r] + d);
      Unroll<kMultipliers>([&](auto i) NEARFAR_LAMBDA_INLINE {
        AskAhead<kVectors * kLanes>(keys + first * head_width + (d + i.value) * kVectors * kLanes);
        for (int v = 0; v < kVectors; ++v) {
          const F32 key = LoadNumbers(columns[v] + (d + i.value) * kKeyGroup);
          for (int r = 0; r < kRows; ++r) sums[v][r] = FmaBy<i.value>(query[r], key, sums[v][r]);
        }
      });
    }
    for (; d < end; ++d) {
      for (int v = 0; v < kVectors; ++v) {
        const F32 key = LoadNumbers(columns[v] + d * kKeyGroup);
        for (int r = 0; r < kRows; ++r) sums[v][r] = Fma(Set(queries[r][d]), key, sums[v][r]);
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      const int position = first + v * kLanes;
      F32 factor = Set(scale);
      if constexpr (kScaled) {
        const int64_t group = position / kKeyGroup * KvBlocks(head_width) + begin / kKvBlock;
        factor = Mul(factor, LoadHalf(key_scales + group * kKeyGroup + position % kKeyGroup));
      }
      for (int r = 0; r < kRows; ++r) {
        float* at = weights + r * kAttentionPart + position;
        Store(at, begin == 0 ? Mul(sums[v][r], factor) : Fma(sums[v][r], factor, Load(at)));
      }
    }
  }
}

// The scores of all positions of whole vectors below n. Several vectors at once, so that the sums
// do not wait for each other.
template <int kRows, bool kScaled, typename Number>
NEARFAR_INLINE void Scores(const float* const* queries, int n, int64_t head_width, float scale,
                           const Number* keys, const uint16_t* key_scales, float* weights) {
  constexpr int kFit = kSums / kRows, kTile = kTilePositions / kLanes;
  constexpr int kVectors = kFit < kTile ? kFit : kTile;
  int first = 0;
  for (; first + kVectors * kLanes <= n; first += kVectors * kLanes) {
    ScoreVectors<kRows, kVectors, kScaled>(queries, first, head_width, scale, keys, key_scales,
                                           weights);
  }
  for (; first < n; first += kLanes) {
    ScoreVectors<kRows, 1, kScaled>(queries, first, head_width, scale, keys, key_scales, weights);
  }
}

// Turns n scores into weights e^(score - largest) and begins the state of the row.
NEARFAR_INLINE void SoftmaxRow(float* weights, int n, float* state) {
  const float none = -__builtin_inff();
  for (int i = n; i % kLanes != 0; ++i) weights[i] = none;
  F32 most = Set(none);
  for (int i = 0; i < n; i += kLanes) most = Max(Load(weights + i), most);
  state[0] = MaxLanes(most);
  F32 sum = Set(0.0f);
  for (int i = 0; i < n; i += kLanes) {
    const F32 weight = Exp(Sub(Load(weights + i), Set(state[0])));
    Store(weights + i, weight);
    sum = Add(sum, weight);
  }
  state[1] = SumLanes(sum);
}

// Values [n, width], and their scales [n, width / kKvBlock] or null.
template <typename Number>
struct Values {
  const Number* numbers;
  const float* scales;
  int64_t width;
};

// kWide vectors from column d on of the values of a position, whose row is given.
template <int kWide, typename Number>
NEARFAR_INLINE void LoadColumns(const Values<Number>& values, int64_t position, int64_t d,
                                const Number* row, F32 (&to)[kWide]) {
  AskAhead<kWide * kLanes>(row + d);
  for (int v = 0; v < kWide; ++v) to[v] = LoadNumbers(row + d + v * kLanes);
  if constexpr (sizeof(Number) == sizeof(int8_t)) {
    const float* scales = values.scales + position * KvBlocks(values.width);
    for (int v = 0; v < kWide; ++v) {
      to[v] = Mul(to[v], Set(scales[(d + v / 2 * 2 * kLanes) / kKvBlock]));
    }
  }
}

// state += weights of positions [begin, end) times kWide vectors of their values.
template <int kRows, int kWide, typename Number>
NEARFAR_INLINE void AddColumns(float* const* states, const float* const* weights, int begin,
                               int end, int64_t d, const Values<Number>& values) {
  F32 sums[kRows][kWide];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kWide; ++v) {
      sums[r][v] = Load(states[r] + kAttentionStateHead + d + v * kLanes);
    }
  }
  const Number* row = values.numbers + begin * values.width;
  int i = begin;
  for (; i + kMultipliers <= end; i += kMultipliers) {
    Multipliers weight[kRows];
    for (int r = 0; r < kRows; ++r) weight[r] = LoadMultipliers(weights[r] + i);
    Unroll<kMultipliers>([&](auto k) NEARFAR_LAMBDA_INLINE {
      F32 value[kWide];
      LoadColumns(values, i + k.value, d, row, value);
      row += values.width;
      for (int r = 0; r < kRows; ++r) {
        for (int v = 0; v < kWide; ++v) {
          sums[r][v] = FmaBy<k.value>(weight[r], value[v], sums[r][v]);
        }
      }
    });
  }
  for (; i < end; ++i) {
    F32 value[kWide];
    LoadColumns(values, i, d, row, value);
    row += values.width;
    for (int r = 0; r < kRows; ++r) {
      const F32 weight = Set(weights[r][i]);
      for (int v = 0; v < kWide; ++v) sums[r][v] = Fma(weight, value[v], sums[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kWide; ++v) {
      Store(states[r] + kAttentionStateHead + d + v * kLanes, sums[r][v]);
    }
  }
}

// As many columns at once as fit, so that values are read as they lie.
template <int kRows, typename Number>
NEARFAR_INLINE void AddValues(float* const* states, const float* const* weights, int begin, int end,
                              const Values<Number>& values) {
  constexpr int kWide = kSums / kRows >= 4 ? 4 : 2;
  int64_t d = 0;
  for (; d + kWide * kLanes <= values.width; d += kWide * kLanes) {
    AddColumns<kRows, kWide>(states, weights, begin, end, d, values);
  }
  for (; d < values.width; d += 2 * kLanes) {
    AddColumns<kRows, 2>(states, weights, begin, end, d, values);
  }
}

// Rows [first, first + count) of a call, and how many of the n positions from `begin` each sees.
struct SeenRows {
  SeenRows(const AttentionPartArgs& args, int first, int begin, int n) : first(first) {
    count = args.rows - first < kQueryRows ? args.rows - first : kQueryRows;
    least = n;
    most = 0;
    for (int r = 0; r < count; ++r) {
      const int left = args.visible[first + r] - begin;
      seen[r] = left < 0 ? 0 : left < n ? left : n;
      least = seen[r] < least ? seen[r] : least;
      most = seen[r] > most ? seen[r] : most;
    }
  }
  int first, count;
  int seen[kQueryRows];
  int least, most;
};

template <bool kScaled, typename Number>
NEARFAR_NOINLINE void ScoreTile(const AttentionPartArgs& args, int begin, int n, const Number* keys,
                                const uint16_t* key_scales, const AttentionScratch& scratch) {
  for (int row = 0; row < args.rows; row += kQueryRows) {
    const SeenRows rows(args, row, begin, n);
    if (rows.most == 0) continue;
    WithCount<kQueryRows>(rows.count, [&](auto count) {
      Scores<decltype(count)::value, kScaled>(args.queries + row, rows.most, args.head_width,
                                              args.scale, keys, key_scales,
                                              scratch.weights + row * kAttentionPart + begin);
    });
  }
}

// Unseen values are not even multiplied by zero: what stands there may not be a number yet.
template <typename Number>
NEARFAR_NOINLINE void AddTile(const AttentionPartArgs& args, int begin, int n,
                              const Values<Number>& values, const AttentionScratch& scratch) {
  for (int row = 0; row < args.rows; row += kQueryRows) {
    const SeenRows rows(args, row, begin, n);
    const float* weights[kQueryRows];
    for (int r = 0; r < rows.count; ++r) {
      weights[r] = scratch.weights + (row + r) * kAttentionPart + begin;
    }
    WithCount<kQueryRows>(rows.count, [&](auto count) {
      AddValues<decltype(count)::value>(args.states + row, weights, 0, rows.least, values);
    });
    for (int r = 0; r < rows.count; ++r) {
      if (rows.seen[r] == rows.least) continue;
      AddValues<1>(args.states + row + r, weights + r, rows.least, rows.seen[r], values);
    }
  }
}

NEARFAR_INLINE void SoftmaxRows(const AttentionPartArgs& args, const AttentionScratch& scratch) {
  for (int row = 0; row < args.rows; ++row) {
    float* state = args.states[row];
    for (int64_t i = 0; i < AttentionStateFloats(args.head_width); ++i) state[i] = 0.0f;
    SoftmaxRow(scratch.weights + row * kAttentionPart, args.visible[row], state);
  }
}

// As floats, of the first n positions; null where values have no scales.
template <typename Part>
NEARFAR_INLINE const float* ReadValueScales(const Part& part, int n, int64_t head_width,
                                            const AttentionScratch& scratch) {
  if constexpr (!Part::kScaled) return nullptr;
  for (int64_t i = 0; i < n * KvBlocks(head_width); i += kLanes) {
    Store(scratch.value_scales + i, LoadHalf(part.value_scales + i));
  }
  return scratch.value_scales;
}

// function(begin, n) for the tiles of positions [0, most).
template <typename Function>
NEARFAR_INLINE void ForTiles(int most, Function function) {
  for (int begin = 0; begin < most; begin += kTilePositions) {
    function(begin, most - begin < kTilePositions ? most - begin : kTilePositions);
  }
}

// For more rows than share a read.
template <typename Part>
NEARFAR_INLINE void AttendTiles(const AttentionPartArgs& args, int most, const Part& part,
                                const float* value_scales, const AttentionScratch& scratch) {
  const int64_t width = args.head_width, blocks = KvBlocks(width);
  ForTiles(most, [&](int begin, int n) {
    ReadKeys(part.keys + begin * width, n, width, scratch.tile);
    const uint16_t* scales = Part::kScaled ? part.key_scales + begin * blocks : nullptr;
    ScoreTile<Part::kScaled>(args, begin, n, scratch.tile, scales, scratch);
  });
  SoftmaxRows(args, scratch);
  ForTiles(most, [&](int begin, int n) {
    const float* scales = Part::kScaled ? value_scales + begin * blocks : nullptr;
    ReadValues(part.values + begin * width, scales, n, width, scratch.width, scratch.tile);
    AddTile(args, begin, n, Values<float>{scratch.tile, nullptr, scratch.width}, scratch);
  });
}

template <typename Part>
void AttentionPart(const AttentionPartArgs& args) {
  const AttentionScratch scratch(args.scratch, args.head_width);
  const Part part(args.kv, args.head_width);
  int most = 0;
  for (int row = 0; row < args.rows; ++row) {
    most = args.visible[row] > most ? args.visible[row] : most;
  }
  const float* value_scales = ReadValueScales(part, most, args.head_width, scratch);
  if (args.rows > kQueryRows || scratch.width != args.head_width) {
    AttendTiles(args, most, part, value_scales, scratch);
    return;
  }
  ScoreTile<Part::kScaled>(args, 0, most, part.keys, part.key_scales, scratch);
  SoftmaxRows(args, scratch);
  AddTile(args, 0, most, Values<typename Part::Number>{part.values, value_scales, scratch.width},
          scratch);
}

NEARFAR_INLINE void ScaleState(float* state, int64_t width, float factor) {
  state[1] *= factor;
  for (int64_t d = 0; d < width; d += kLanes) {
    float* at = state + kAttentionStateHead + d;
    Store(at, Mul(Load(at), Set(factor)));
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
