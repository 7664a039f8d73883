// The vocabulary of kernels/common/ for plain Armv8.0 NEON: four lanes. scalar/simd.h says what the
// names mean. neon_dotprod uses this file too and brings its own Dot.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_NEON_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_NEON_SIMD_H_

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#include "local_engine/kernels/common/inline.h"

namespace nearfar::kernels {
namespace {

constexpr int kLanes = 4;
constexpr int kTokenTile = 4;
constexpr int kSignedOffset = 0;

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
NEARFAR_INLINE F32 Max(F32 a, F32 b) { return {vmaxq_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 Min(F32 a, F32 b) { return {vminq_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 Abs(F32 a) { return {vabsq_f32(a.v)}; }
NEARFAR_INLINE F32 ZeroWhereLess(F32 a, F32 x, F32 bound) {
  return {vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a.v), vcltq_f32(x.v, bound.v)))};
}
NEARFAR_INLINE float SumLanes(F32 a) { return vaddvq_f32(a.v); }
NEARFAR_INLINE float MaxLanes(F32 a) { return vmaxvq_f32(a.v); }

NEARFAR_INLINE float32x4_t ZipLow64(float32x4_t a, float32x4_t b) {
  return vreinterpretq_f32_f64(vzip1q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}
NEARFAR_INLINE float32x4_t ZipHigh64(float32x4_t a, float32x4_t b) {
  return vreinterpretq_f32_f64(vzip2q_f64(vreinterpretq_f64_f32(a), vreinterpretq_f64_f32(b)));
}
NEARFAR_INLINE void Transpose(F32 v[kLanes]) {
  const float32x4_t ab_low = vzip1q_f32(v[0].v, v[1].v), ab_high = vzip2q_f32(v[0].v, v[1].v);
  const float32x4_t cd_low = vzip1q_f32(v[2].v, v[3].v), cd_high = vzip2q_f32(v[2].v, v[3].v);
  v[0].v = ZipLow64(ab_low, cd_low);
  v[1].v = ZipHigh64(ab_low, cd_low);
  v[2].v = ZipLow64(ab_high, cd_high);
  v[3].v = ZipHigh64(ab_high, cd_high);
}
NEARFAR_INLINE void LoadPairs(const float* from, F32* even, F32* odd) {
  const float32x4x2_t pairs = vld2q_f32(from);
  even->v = pairs.val[0];
  odd->v = pairs.val[1];
}
NEARFAR_INLINE void StorePairs(float* to, F32 even, F32 odd) { vst2q_f32(to, {{even.v, odd.v}}); }

NEARFAR_INLINE I32 RoundToInt(F32 x) { return {vcvtnq_s32_f32(x.v)}; }
NEARFAR_INLINE F32 ToFloat(I32 x) { return {vcvtq_f32_s32(x.v)}; }
NEARFAR_INLINE I32 AddInts(I32 a, I32 b) { return {vaddq_s32(a.v, b.v)}; }
NEARFAR_INLINE int32_t SumInts(I32 a) { return vaddvq_s32(a.v); }
NEARFAR_INLINE void StoreInt8(int8_t* to, I32 x) {
  const int16x4_t words = vqmovn_s32(x.v);
  const int8x8_t bytes = vqmovn_s16(vcombine_s16(words, words));
  const uint32_t word = vget_lane_u32(vreinterpret_u32_s8(bytes), 0);
  memcpy(to, &word, sizeof(word));
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

// ---- tiles of weights: four bytes of each row -------------------------------------------------

struct Bytes {
  uint8x16_t v;
};
struct Rows {
  const uint8_t* at[kLanes];
};

NEARFAR_INLINE uint32x4_t Words(uint8x16_t a) { return vreinterpretq_u32_u8(a); }
NEARFAR_INLINE uint8x16_t BytesOf(uint32x4_t a) { return vreinterpretq_u8_u32(a); }
NEARFAR_INLINE uint8x16_t LowDoubles(uint32x4_t a, uint32x4_t b) {
  return vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)));
}
NEARFAR_INLINE uint8x16_t HighDoubles(uint32x4_t a, uint32x4_t b) {
  return vreinterpretq_u8_u64(vzip2q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)));
}

NEARFAR_INLINE void Transpose16(const Rows& rows, int64_t offset, Bytes out[4]) {
  const uint32x4_t a = Words(vld1q_u8(rows.at[0] + offset)),
                   b = Words(vld1q_u8(rows.at[1] + offset));
  const uint32x4_t c = Words(vld1q_u8(rows.at[2] + offset)),
                   d = Words(vld1q_u8(rows.at[3] + offset));
  const uint32x4_t ab_low = vzip1q_u32(a, b), ab_high = vzip2q_u32(a, b);
  const uint32x4_t cd_low = vzip1q_u32(c, d), cd_high = vzip2q_u32(c, d);
  out[0].v = LowDoubles(ab_low, cd_low);
  out[1].v = HighDoubles(ab_low, cd_low);
  out[2].v = LowDoubles(ab_high, cd_high);
  out[3].v = HighDoubles(ab_high, cd_high);
}
// The compiler drops the shuffles whose results nobody reads.
NEARFAR_INLINE void Transpose8(const Rows& rows, int64_t offset, Bytes out[2]) {
  Bytes all[4];
  Transpose16(rows, offset, all);
  out[0] = all[0];
  out[1] = all[1];
}
NEARFAR_INLINE Bytes Transpose4(const Rows& rows, int64_t offset) {
  Bytes all[4];
  Transpose16(rows, offset, all);
  return all[0];
}

NEARFAR_INLINE Bytes SetBytes(uint8_t x) { return {vdupq_n_u8(x)}; }
NEARFAR_INLINE Bytes And(Bytes a, Bytes b) { return {vandq_u8(a.v, b.v)}; }
NEARFAR_INLINE Bytes Or(Bytes a, Bytes b) { return {vorrq_u8(a.v, b.v)}; }
template <int kBits>
NEARFAR_INLINE Bytes ShiftRight(Bytes a) {
  if constexpr (kBits == 0)
    return a;
  else
    return {BytesOf(vshrq_n_u32(Words(a.v), kBits))};
}
template <int kBits>
NEARFAR_INLINE Bytes ShiftLeft(Bytes a) {
  return {BytesOf(vshlq_n_u32(Words(a.v), kBits))};
}
template <int kGroup>
NEARFAR_INLINE Bytes SixteenWhereBit(Bytes a) {
  // Each byte of a lane gets the byte that holds the group's four bits, and tests its own of them.
  constexpr uint8_t kByte = kGroup / 2;
  const uint8x16_t places = {kByte,      kByte,      kByte,      kByte,     kByte + 4, kByte + 4,
                             kByte + 4,  kByte + 4,  kByte + 8,  kByte + 8, kByte + 8, kByte + 8,
                             kByte + 12, kByte + 12, kByte + 12, kByte + 12};
  const uint8x16_t own = BytesOf(vdupq_n_u32(kGroup % 2 == 0 ? 0x08040201u : 0x80402010u));
  const uint8x16_t set = vtstq_u8(vqtbl1q_u8(a.v, places), own);
  return {vandq_u8(set, vdupq_n_u8(16))};
}
NEARFAR_INLINE Bytes FromSigned(Bytes a) { return a; }

template <int kByte>
NEARFAR_INLINE F32 UnsignedByte(Bytes a) {
  return {vcvtq_f32_u32(vandq_u32(Words(ShiftRight<8 * kByte>(a).v), vdupq_n_u32(255)))};
}
template <int kByte>
NEARFAR_INLINE F32 SignedByte(Bytes a) {
  const int32x4_t top = vreinterpretq_s32_u8(ShiftLeft<24 - 8 * kByte>(a).v);
  return {vcvtq_f32_s32(vshrq_n_s32(top, 24))};
}
NEARFAR_INLINE F32 LowHalf(Bytes a) { return FromHalves(vmovn_u32(Words(a.v))); }
NEARFAR_INLINE F32 HighHalf(Bytes a) { return FromHalves(vshrn_n_u32(Words(a.v), 16)); }

#ifndef NEARFAR_KERNELS_OWN_DOT

// SMULL and SMLAL make 16-bit products. With activations of at most 127 in magnitude, the sum of n
// products stays below 2^15 for
//   4 bits: 8 (15,240)   5 bits: 8 (31,496)   6 bits: 4 (32,004)   8 bits, signed: 2 (32,512)
// which is how often they are widened.
template <int kBits>
class Dot {
 public:
  NEARFAR_INLINE void Add16(const Bytes w[4], const int8_t* a) {
    const uint32x4_t x = Words(vreinterpretq_u8_s8(vld1q_s8(a)));
    AddWord(w[0], vdupq_laneq_u32(x, 0));
    AddWord(w[1], vdupq_laneq_u32(x, 1));
    if constexpr (kBits == 8) Widen();
    AddWord(w[2], vdupq_laneq_u32(x, 2));
    AddWord(w[3], vdupq_laneq_u32(x, 3));
    if constexpr (kBits >= 6) Widen();
  }
  NEARFAR_INLINE F32 Sum() {
    if constexpr (kBits < 6) Widen();
    return {vcvtq_f32_s32(vpaddq_s32(wide_low_, wide_high_))};
  }

 private:
  NEARFAR_INLINE void AddWord(Bytes w, uint32x4_t x) {
    const int8x16_t weights = vreinterpretq_s8_u8(w.v), values = vreinterpretq_s8_u32(x);
    low_ = vmlal_s8(low_, vget_low_s8(weights), vget_low_s8(values));
    high_ = vmlal_high_s8(high_, weights, values);
  }
  // Rows 0 and 1 are in the low, 2 and 3 in the high sums, four products each.
  NEARFAR_INLINE void Widen() {
    wide_low_ = vpadalq_s16(wide_low_, low_);
    wide_high_ = vpadalq_s16(wide_high_, high_);
    low_ = high_ = vdupq_n_s16(0);
  }

  int16x8_t low_ = vdupq_n_s16(0), high_ = vdupq_n_s16(0);
  int32x4_t wide_low_ = vdupq_n_s32(0), wide_high_ = vdupq_n_s32(0);
};

#endif  // NEARFAR_KERNELS_OWN_DOT

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_NEON_SIMD_H_
