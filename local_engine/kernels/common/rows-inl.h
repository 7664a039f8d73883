// What a forward pass does to one row of activations outside of its matrix products.
// Held by tests/local_engine/kernels/rows_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_ROWS_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_ROWS_INL_H_

#include "local_engine/kernels/common/exp-inl.h"
#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar::kernels {
namespace {

// The first n lanes of `from`, then zeros; n in [0, kLanes].
NEARFAR_INLINE F32 LoadSome(const float* from, int64_t n) {
  if (n >= kLanes) return Load(from);
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = from[i];
  return Load(lanes);
}
NEARFAR_INLINE void StoreSome(float* to, int64_t n, F32 x) {
  if (n >= kLanes) {
    Store(to, x);
    return;
  }
  float lanes[kLanes];
  Store(lanes, x);
  for (int64_t i = 0; i < n; ++i) to[i] = lanes[i];
}

// body(i, n) for the vectors of a row that begin at i and have n elements. The whole ones are a
// loop of their own: without the calls that a partial one makes, constants stay in registers.
template <typename Body>
NEARFAR_INLINE void ForVectors(int64_t width, Body body) {
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) body(i, int64_t{kLanes});
  if (i < width) body(i, width - i);
}

// A simd.h may bring a faster one for a count of its own.
template <int kCount>
NEARFAR_INLINE void StoreEachInt8(int8_t* to, const I32 (&x)[kCount]) {
  for (int i = 0; i < kCount; ++i) StoreInt8(to + i * kLanes, x[i]);
}

// Values of one block from kActivationBlock readable floats.
//
// A block that holds an infinity or what is no number gets a scale and sums that are no numbers
// either, whatever Max makes of them: so that they reach every product of the row, and a damaged
// model is noticed by its logits.
NEARFAR_INLINE void QuantizeBlock(const float* x, int8_t* values, ActivationBlock* block) {
  constexpr int kHalf = kActivationBlock / 2, kVectors = kActivationBlock / kLanes;
  F32 some[kVectors], largest = Set(0.0f), zeros = Set(0.0f);
  for (int i = 0; i < kVectors; ++i) {
    some[i] = Load(x + i * kLanes);
    largest = Max(Abs(some[i]), largest);
    zeros = Fma(some[i], Set(0.0f), zeros);  // zero times a finite number, and no other, is zero
  }
  const float bound = MaxLanes(largest);
  // Below this the inverse would overflow, and nothing of the block would reach a result.
  const bool silent = bound < 1e-35f;
  const F32 inverse = Set(silent ? 0.0f : 127.0f / bound);
  int32_t sums[2];
  for (int half = 0; half < 2; ++half) {
    I32 rounded[kVectors / 2], sum = {};
    for (int i = 0; i < kVectors / 2; ++i) {
      rounded[i] = RoundToInt(Mul(some[half * kVectors / 2 + i], inverse));
      sum = AddInts(sum, rounded[i]);
    }
    StoreEachInt8(values + half * kHalf, rounded);
    sums[half] = SumInts(sum);
  }
  const float nothing = SumLanes(zeros);  // not a number where one of x is not finite
  if (nothing != 0.0f) sums[0] = sums[1] = 0;
  block->scale = (silent ? 0.0f : bound / 127.0f) + nothing;
  block->minus_sum = -(sums[0] + sums[1]);
  block->minus_sum_low = -sums[0];
  block->sum = block->scale * static_cast<float>(sums[0] + sums[1]);
}

void QuantizeRow(const float* x, int64_t width, int8_t* values, ActivationBlock* blocks) {
  int64_t i = 0;
  for (; i + kActivationBlock <= width; i += kActivationBlock) {
    QuantizeBlock(x + i, values + i, blocks++);
  }
  for (const int64_t end = ActivationBlocks(width) * kActivationBlock; i < end;
       i += kActivationBlock) {
    float rest[kActivationBlock] = {};
    for (int64_t k = 0; i + k < width && k < kActivationBlock; ++k) rest[k] = x[i + k];
    QuantizeBlock(rest, values + i, blocks++);
  }
}

void RmsNormRow(const float* x, const float* weight, float epsilon, int64_t width, float* out) {
  F32 even = Set(0.0f), odd = Set(0.0f);
  int64_t i = 0;
  for (; i + 2 * kLanes <= width; i += 2 * kLanes) {
    const F32 first = Load(x + i), second = Load(x + i + kLanes);
    even = Fma(first, first, even);
    odd = Fma(second, second, odd);
  }
  ForVectors(width - i, [&](int64_t j, int64_t n) NEARFAR_LAMBDA_INLINE {
    const F32 rest = LoadSome(x + i + j, n);
    (j == 0 ? even : odd) = Fma(rest, rest, j == 0 ? even : odd);
  });
  const float mean = SumLanes(Add(even, odd)) / static_cast<float>(width);
  const F32 scale = Set(1.0f / __builtin_sqrtf(mean + epsilon));
  ForVectors(width, [&](int64_t at, int64_t n) NEARFAR_LAMBDA_INLINE {
    StoreSome(out + at, n, Mul(Mul(LoadSome(x + at, n), scale), LoadSome(weight + at, n)));
  });
}

void SiluMulRow(const float* gate, const float* up, int64_t width, float* out) {
  const F32 one = Set(1.0f), zero = Set(0.0f);
  ForVectors(width, [&](int64_t i, int64_t n) NEARFAR_LAMBDA_INLINE {
    const F32 g = LoadSome(gate + i, n);
    const F32 silu = Div(g, Add(one, Exp(Sub(zero, g))));
    // Exp saturates, so far below it the quotient would grow with g again.
    StoreSome(out + i, n, Mul(ZeroWhereLess(silu, g, Set(-88.0f)), LoadSome(up + i, n)));
  });
}

void AddRow(float* x, const float* y, int64_t n) {
  ForVectors(n, [&](int64_t i, int64_t count) NEARFAR_LAMBDA_INLINE {
    StoreSome(x + i, count, Add(LoadSome(x + i, count), LoadSome(y + i, count)));
  });
}

NEARFAR_INLINE void StoreHalves(const float* from, uint16_t* to, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) StoreHalf(to + i, Load(from + i));
  if (i == n) return;
  uint16_t lanes[kLanes];
  StoreHalf(lanes, LoadSome(from + i, n - i));
  for (int64_t k = 0; i + k < n; ++k) to[i + k] = lanes[k];
}

// Into every 16th place: one position of a group of keys.
NEARFAR_INLINE void StoreKey(const float* from, uint16_t* to, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    uint16_t lanes[kLanes];
    StoreHalf(lanes, LoadSome(from + i, n - i));
    const int64_t count = n - i < kLanes ? n - i : kLanes;
    for (int64_t k = 0; k < count; ++k) to[(i + k) * kKeyGroup] = lanes[k];
  }
}

void StoreKvHalf(const float* key, const float* value, int64_t head_width, int position,
                 uint8_t* kv) {
  uint16_t* keys = reinterpret_cast<uint16_t*>(kv);
  uint16_t* values = keys + kAttentionPart * head_width;
  const int group = position / kKeyGroup;
  StoreKey(key, keys + group * head_width * kKeyGroup + position % kKeyGroup, head_width);
  StoreHalves(value, values + position * head_width, head_width);
}

// Block number `block` of x [width], to int8 values `step` apart and a scale.
NEARFAR_INLINE void StoreKvBlock(const float* x, int64_t width, int64_t block, int64_t step,
                                 int8_t* to, uint16_t* scale) {
  const int64_t begin = block * kKvBlock;
  const int64_t n = width - begin < kKvBlock ? width - begin : kKvBlock;
  float whole[kKvBlock] = {};
  for (int64_t i = 0; i < n; ++i) whole[i] = x[begin + i];
  int8_t values[kKvBlock];
  ActivationBlock quantized;
  QuantizeBlock(whole, values, &quantized);
  for (int64_t i = 0; i < n; ++i) to[(begin + i) * step] = values[i];
  uint16_t lanes[kLanes];
  StoreHalf(lanes, Set(quantized.scale));
  *scale = lanes[0];
}

void StoreKvBytes(const float* key, const float* value, int64_t head_width, int position,
                  uint8_t* kv) {
  const int64_t blocks = KvBlocks(head_width), size = kAttentionPart * head_width;
  int8_t* keys = reinterpret_cast<int8_t*>(kv);
  uint16_t* key_scales = reinterpret_cast<uint16_t*>(kv + 2 * size);
  uint16_t* value_scales = key_scales + kAttentionPart * blocks;
  const int64_t group = position / kKeyGroup * kKeyGroup, lane = position % kKeyGroup;
  for (int64_t block = 0; block < blocks; ++block) {
    StoreKvBlock(key, head_width, block, kKeyGroup, keys + group * head_width + lane,
                 key_scales + group * blocks + block * kKeyGroup + lane);
    StoreKvBlock(value, head_width, block, 1, keys + size + position * head_width,
                 value_scales + position * blocks + block);
  }
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_ROWS_INL_H_
