// The vocabulary of kernels/common/ for plain Armv8.0 NEON: four lanes. scalar/simd.h says what the
// names mean. neon_dotprod uses this file too and brings its own Dot.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_NEON_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_NEON_SIMD_H_

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar::kernels {
namespace {

constexpr int kLanes = 4;
constexpr int kQueryRows = 8;
constexpr int kTokenTile = 4;
constexpr int kMostDots = 8;
constexpr int kLeastPrefetch = 2;
template <int kScales>
constexpr int64_t kMostDirectTokens = kTokenTile;

// ---- f32 and i32 vectors ----------------------------------------------------------------------

struct F32 {
  float32x4_t v;
};
struct I32 {
  int32x4_t v;
};

NEARFAR_INLINE F32 Set(float x) { return {vdupq_n_f32(x)}; }
NEARFAR_INLINE F32 Load(const float* from) { return {vld1q_f32(from)}; }
NEARFAR_INLINE void Store(float* to, F32 x) { vst1q_f32(to, x.v); }
NEARFAR_INLINE F32 Add(F32 a, F32 b) { return {vaddq_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 Sub(F32 a, F32 b) { return {vsubq_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 Mul(F32 a, F32 b) { return {vmulq_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 Div(F32 a, F32 b) { return {vdivq_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 Fma(F32 a, F32 b, F32 c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
constexpr int kMultipliers = 4;
struct Multipliers {
  float32x4_t v;
};
NEARFAR_INLINE Multipliers LoadMultipliers(const float* from) { return {vld1q_f32(from)}; }
template <int kWhich>
NEARFAR_INLINE F32 FmaBy(Multipliers a, F32 b, F32 c) {
  return {vfmaq_laneq_f32(c.v, b.v, a.v, kWhich)};
}
NEARFAR_INLINE F32 Max(F32 a, F32 b) { return {vmaxq_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 Min(F32 a, F32 b) { return {vminq_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 Abs(F32 a) { return {vabsq_f32(a.v)}; }
NEARFAR_INLINE F32 ZeroWhereLess(F32 a, F32 x, F32 bound) {
  return {vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a.v), vcltq_f32(x.v, bound.v)))};
}
NEARFAR_INLINE float SumLanes(F32 a) { return vaddvq_f32(a.v); }
NEARFAR_INLINE float MaxLanes(F32 a) { return vmaxvq_f32(a.v); }

NEARFAR_INLINE void LoadPairs(const float* from, F32* even, F32* odd) {
  const float32x4x2_t pairs = vld2q_f32(from);
  even->v = pairs.val[0];
  odd->v = pairs.val[1];
}
NEARFAR_INLINE void StorePairs(float* to, F32 even, F32 odd) {
  const float32x4x2_t pairs = {{even.v, odd.v}};
  vst2q_f32(to, pairs);  // a macro for clang, to which braces would be two arguments
}

NEARFAR_INLINE I32 RoundToInt(F32 x) { return {vcvtnq_s32_f32(x.v)}; }
NEARFAR_INLINE F32 ToFloat(I32 x) { return {vcvtq_f32_s32(x.v)}; }
NEARFAR_INLINE I32 AddInts(I32 a, I32 b) { return {vaddq_s32(a.v, b.v)}; }
NEARFAR_INLINE I32 SubInts(I32 a, I32 b) { return {vsubq_s32(a.v, b.v)}; }
NEARFAR_INLINE I32 SetInts(int32_t x) { return {vdupq_n_s32(x)}; }
template <int kBits>
NEARFAR_INLINE I32 ShiftLeftInts(I32 a) {
  return {vshlq_n_s32(a.v, kBits)};
}
template <int kBits>
NEARFAR_INLINE I32 ShiftRightInts(I32 a) {
  return {vshrq_n_s32(a.v, kBits)};
}
NEARFAR_INLINE int32_t SumInts(I32 a) { return vaddvq_s32(a.v); }
NEARFAR_INLINE void StoreInt8(int8_t* to, I32 x) {
  const int16x4_t words = vqmovn_s32(x.v);
  const int8x8_t bytes = vqmovn_s16(vcombine_s16(words, words));
  const uint32_t word = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
  memcpy(to, &word, sizeof(word));
}
NEARFAR_INLINE void StoreEachInt8(int8_t* to, const I32 (&x)[4]) {
  const int16x8_t low = vqmovn_high_s32(vqmovn_s32(x[0].v), x[1].v);
  const int16x8_t high = vqmovn_high_s32(vqmovn_s32(x[2].v), x[3].v);
  vst1q_s8(to, vqmovn_high_s16(vqmovn_s16(low), high));
}
NEARFAR_INLINE F32 PowerOfTwo(I32 x) {
  return {vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(x.v, vdupq_n_s32(127)), 23))};
}

// ---- 16-bit floats: conversion alone, which Armv8.0 has ---------------------------------------

NEARFAR_INLINE F32 FromHalves(uint16x4_t halves) {
  return {vcvt_f32_f16(vreinterpret_f16_u16(halves))};
}
NEARFAR_INLINE F32 LoadHalf(const uint16_t* from) { return FromHalves(vld1_u16(from)); }
NEARFAR_INLINE void StoreHalf(uint16_t* to, F32 x) {
  vst1_u16(to, vreinterpret_u16_f16(vcvt_f16_f32(x.v)));
}
NEARFAR_INLINE F32 LoadBFloat16(const uint16_t* from) {
  return {vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from), 16))};
}

// ---- weights: four columns of each row --------------------------------------------------------

struct Bytes {
  uint8x16_t v;
};

NEARFAR_INLINE Bytes LoadBytes(const uint8_t* from) { return {vld1q_u8(from)}; }
NEARFAR_INLINE Bytes LowNibbles(Bytes a) { return {vandq_u8(a.v, vdupq_n_u8(15))}; }
NEARFAR_INLINE Bytes HighNibbles(Bytes a) { return {vshrq_n_u8(a.v, 4)}; }
constexpr int kRawHighBits = 0;
NEARFAR_INLINE Bytes RawHighNibbles(Bytes a) { return HighNibbles(a); }

// Signed: where the fifth bit is clear, the upper four bits are set.
constexpr int kFiveBias = 0;
template <int kPiece, bool kHigh>
NEARFAR_INLINE Bytes WithFifthBit(Bytes nibbles, Bytes inverted) {
  const uint8x16_t clear = vtstq_u8(inverted.v, vdupq_n_u8(1 << kPiece));
  if constexpr (kHigh) return {vsriq_n_u8(clear, nibbles.v, 4)};
  return {vbslq_u8(vdupq_n_u8(15), nibbles.v, clear)};
}
template <int kPiece, bool kHigh>
NEARFAR_INLINE Bytes WithUpperBits(Bytes nibbles, Bytes upper) {
  const Bytes low = kHigh ? HighNibbles(nibbles) : LowNibbles(nibbles);
  uint8x16_t moved = upper.v;
  if constexpr (kPiece < 2) moved = vshlq_n_u8(upper.v, 4 - 2 * kPiece);
  if constexpr (kPiece == 3) moved = vshrq_n_u8(upper.v, 2);
  return {vbslq_u8(vdupq_n_u8(0x30), moved, low.v)};
}
constexpr int kEightBias = 0;
NEARFAR_INLINE Bytes FromSigned(Bytes a) { return a; }

NEARFAR_INLINE uint32_t LoadFour(const void* from) {
  uint32_t word;
  memcpy(&word, from, sizeof(word));
  return word;
}
NEARFAR_INLINE F32 FromUnsigned8(const uint8_t* from) {
  const uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(LoadFour(from)));
  return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))))};
}
NEARFAR_INLINE F32 FromSigned8(const int8_t* from) {
  const int8x8_t bytes = vreinterpret_s8_u32(vdup_n_u32(LoadFour(from)));
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))))};
}

// ---- two or four groups of rows that lie together ---------------------------------------------

// One instruction loads all four groups and moves the pointer; the empty assembly keeps the
// compiler from making places of it that each need an instruction of their own.
NEARFAR_INLINE void LoadPiece(const uint8_t*& from, Bytes (&to)[4]) {
  const uint8x16x4_t four = vld1q_u8_x4(from);
  for (int i = 0; i < 4; ++i) to[i] = {four.val[i]};
  from += sizeof(four);
  __asm__("" : "+r"(from));
}

NEARFAR_INLINE void LoadTwoHalves(const uint16_t* from, F32* low, F32* high) {
  const float16x8_t halves = vreinterpretq_f16_u16(vld1q_u16(from));
  *low = {vcvt_f32_f16(vget_low_f16(halves))};
  *high = {vcvt_high_f32_f16(halves)};
}
NEARFAR_INLINE void LoadEachHalf(const uint16_t* from, F32 (&to)[2]) {
  LoadTwoHalves(from, &to[0], &to[1]);
}
NEARFAR_INLINE void LoadEachHalf(const uint16_t* from, F32 (&to)[4]) {
  LoadTwoHalves(from, &to[0], &to[1]);
  LoadTwoHalves(from + 2 * kLanes, &to[2], &to[3]);
}

NEARFAR_INLINE void WidenUnsigned8(uint8x8_t bytes, F32* low, F32* high) {
  const uint16x8_t words = vmovl_u8(bytes);
  *low = {vcvtq_f32_u32(vmovl_u16(vget_low_u16(words)))};
  *high = {vcvtq_f32_u32(vmovl_high_u16(words))};
}
NEARFAR_INLINE void FromEachUnsigned8(const uint8_t* from, F32 (&to)[2]) {
  WidenUnsigned8(vld1_u8(from), &to[0], &to[1]);
}
NEARFAR_INLINE void FromEachUnsigned8(const uint8_t* from, F32 (&to)[4]) {
  const uint8x16_t bytes = vld1q_u8(from);
  WidenUnsigned8(vget_low_u8(bytes), &to[0], &to[1]);
  WidenUnsigned8(vget_high_u8(bytes), &to[2], &to[3]);
}
NEARFAR_INLINE void FromEachSigned8(const int8_t* from, F32 (&to)[2]) {
  const int16x8_t words = vmovl_s8(vld1_s8(from));
  to[0] = {vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)))};
  to[1] = {vcvtq_f32_s32(vmovl_high_s16(words))};
}

// ---- activations ------------------------------------------------------------------------------

// One load for all numbers of a block: a product by one lane of a register costs no more than any.
#define NEARFAR_KERNELS_OWN_NUMBERS
class BlockNumbers {
 public:
  BlockNumbers() = default;
  NEARFAR_INLINE explicit BlockNumbers(const ActivationBlock& x)
      : x_(vreinterpretq_f32_u8(vld1q_u8(reinterpret_cast<const uint8_t*>(&x)))) {}
  NEARFAR_INLINE F32 Scale() const { return {vdupq_laneq_f32(x_, 0)}; }
  NEARFAR_INLINE F32 Sum() const { return {vdupq_laneq_f32(x_, 1)}; }
  template <int kSign, int kShift>
  NEARFAR_INLINE I32 MinusSum() const {
    const int32x4_t times = Times<kSign, kShift>();
    return {vdupq_laneq_s32(times, 2)};
  }
  template <int kSign, int kShift>
  NEARFAR_INLINE I32 MinusSumLow() const {
    const int32x4_t times = Times<kSign, kShift>();
    return {vdupq_laneq_s32(times, 3)};
  }
  template <int kSign, int kShift>
  NEARFAR_INLINE I32 MinusSumHigh() const {
    return {vsubq_s32(MinusSum<kSign, kShift>().v, MinusSumLow<kSign, kShift>().v)};
  }

 private:
  static_assert(sizeof(ActivationBlock) == 16);
  template <int kSign, int kShift>
  NEARFAR_INLINE int32x4_t Times() const {
    const int32x4_t shifted = vshlq_n_s32(vreinterpretq_s32_f32(x_), kShift);
    return kSign < 0 ? vnegq_s32(shifted) : shifted;
  }

  float32x4_t x_;
};

#ifndef NEARFAR_KERNELS_OWN_DOT

constexpr int kDotChains = 2;

// SMULL and SMLAL make 16-bit products. With activations of at most 127 in magnitude, the sum of n
// products stays below 2^15 for
//   4 bits: 8 (15,240)   5 bits, signed: 8 (16,256)   6 bits: 4 (32,004)   8 bits, signed: 2
//   (32,512)
// which is how often they are widened.
template <int kBits>
class Dot {
 public:
  // Weights of four bits have no planes, and are widened but once: there is room for all groups.
  static constexpr int kTogether = kBits == 4 ? 4 : 1;

  NEARFAR_INLINE void Begin(I32 start) {
    start_ = start.v;
    if constexpr (!kOnce) wide_low_ = wide_high_ = vdupq_n_s32(0);
  }
  template <int kPiece>
  NEARFAR_INLINE void Add(Bytes w, const int8_t* a) {
    const int8x16_t weights = vreinterpretq_s8_u8(w.v);
    const uint32x4_t words = vreinterpretq_u32_s8(vld1q_s8(a + kPiece / 4 * 16));
    const int8x16_t values = vreinterpretq_s8_u32(vdupq_laneq_u32(words, kPiece % 4));
    if constexpr (kPiece % kPieces == 0) {
      low_ = vmull_s8(vget_low_s8(weights), vget_low_s8(values));
      high_ = vmull_high_s8(weights, values);
    } else {
      low_ = vmlal_s8(low_, vget_low_s8(weights), vget_low_s8(values));
      high_ = vmlal_high_s8(high_, weights, values);
    }
    if constexpr (kPiece % kPieces == kPieces - 1) {
      // Rows 0 and 1 are in the low, 2 and 3 in the high sums, four products each.
      wide_low_ = kOnce ? vpaddlq_s16(low_) : vpadalq_s16(wide_low_, low_);
      wide_high_ = kOnce ? vpaddlq_s16(high_) : vpadalq_s16(wide_high_, high_);
    }
  }
  NEARFAR_INLINE I32 Sum() const { return {vaddq_s32(start_, vpaddq_s32(wide_low_, wide_high_))}; }

 private:
  static constexpr int kPieces = kBits <= 5 ? 8 : kBits == 6 ? 4 : 2;
  static constexpr bool kOnce = kPieces == 8;

  int32x4_t start_;
  int16x8_t low_, high_;  // since the wide sums were added to
  int32x4_t wide_low_, wide_high_;
};

#endif  // NEARFAR_KERNELS_OWN_DOT

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_NEON_SIMD_H_
