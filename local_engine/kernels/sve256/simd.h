// The vocabulary of kernels/common/ for SVE with int8 matrix products and vectors of a length that
// is known when this is compiled (-msve-vector-bits): eight lanes for 256 bits, which is what
// Neoverse V1 has. scalar/simd.h and common/pair_panel-inl.h say what the names mean.
//
// SDOT by lane and SMMLA work within each 128 bits, so the tokens' values are loaded into each of
// them (LD1RQ), and rows run on from one to the next.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_SVE256_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_SVE256_SIMD_H_

#include <arm_sve.h>
#include <stdint.h>
#include <string.h>

#include "local_engine/kernels/common/inline.h"

namespace nearfar::kernels {
namespace {

constexpr int kLanes = __ARM_FEATURE_SVE_BITS / 32;
constexpr int kQueryRows = 8;
constexpr int kTokenTile = 4;
constexpr int kMostDots = 8;
constexpr int kLeastPrefetch = 2;
template <int kScales>
constexpr int64_t kMostDirectTokens = kTokenTile;
constexpr int kDotChains = 16;

// ---- f32 and i32 vectors ----------------------------------------------------------------------

#define NEARFAR_FIXED __attribute__((arm_sve_vector_bits(__ARM_FEATURE_SVE_BITS)))
using FixedF32 = svfloat32_t NEARFAR_FIXED;
using FixedI32 = svint32_t NEARFAR_FIXED;
using FixedU8 = svuint8_t NEARFAR_FIXED;
#undef NEARFAR_FIXED

struct F32 {
  FixedF32 v;
};
struct I32 {
  FixedI32 v;
};

NEARFAR_INLINE svbool_t All() { return svptrue_b32(); }

NEARFAR_INLINE F32 Set(float x) { return {svdup_f32(x)}; }
NEARFAR_INLINE F32 Load(const float* from) { return {svld1_f32(All(), from)}; }
NEARFAR_INLINE void Store(float* to, F32 x) { svst1_f32(All(), to, x.v); }
NEARFAR_INLINE F32 Add(F32 a, F32 b) { return {svadd_f32_x(All(), a.v, b.v)}; }
NEARFAR_INLINE F32 Sub(F32 a, F32 b) { return {svsub_f32_x(All(), a.v, b.v)}; }
NEARFAR_INLINE F32 Mul(F32 a, F32 b) { return {svmul_f32_x(All(), a.v, b.v)}; }
NEARFAR_INLINE F32 Div(F32 a, F32 b) { return {svdiv_f32_x(All(), a.v, b.v)}; }
NEARFAR_INLINE F32 Fma(F32 a, F32 b, F32 c) { return {svmla_f32_x(All(), c.v, a.v, b.v)}; }
constexpr int kMultipliers = 4;
struct Multipliers {
  FixedF32 v;  // in each 128 bits
};
// A product by lane takes its lanes from Z0 to Z7. A compiler that keeps them elsewhere would move
// them for each product; the empty assembly says where they are wanted.
NEARFAR_INLINE Multipliers LoadMultipliers(const float* from) {
  FixedF32 v = svld1rq_f32(All(), from);
  asm("" : "+y"(v));
  return {v};
}
template <int kWhich>
NEARFAR_INLINE F32 FmaBy(Multipliers a, F32 b, F32 c) {
  return {svmla_lane_f32(c.v, b.v, a.v, kWhich)};
}
NEARFAR_INLINE F32 Max(F32 a, F32 b) { return {svmax_f32_x(All(), a.v, b.v)}; }
NEARFAR_INLINE F32 Min(F32 a, F32 b) { return {svmin_f32_x(All(), a.v, b.v)}; }
NEARFAR_INLINE F32 Abs(F32 a) { return {svabs_f32_x(All(), a.v)}; }
NEARFAR_INLINE F32 ZeroWhereLess(F32 a, F32 x, F32 bound) {
  return {svsel_f32(svcmplt_f32(All(), x.v, bound.v), svdup_f32(0.0f), a.v)};
}
NEARFAR_INLINE float SumLanes(F32 a) { return svaddv_f32(All(), a.v); }
NEARFAR_INLINE float MaxLanes(F32 a) { return svmaxv_f32(All(), a.v); }

NEARFAR_INLINE void LoadPairs(const float* from, F32* even, F32* odd) {
  const svfloat32x2_t pairs = svld2_f32(All(), from);
  even->v = svget2_f32(pairs, 0);
  odd->v = svget2_f32(pairs, 1);
}
NEARFAR_INLINE void StorePairs(float* to, F32 even, F32 odd) {
  svst2_f32(All(), to, svcreate2_f32(even.v, odd.v));
}

NEARFAR_INLINE I32 RoundToInt(F32 x) { return {svcvt_s32_f32_x(All(), svrintn_f32_x(All(), x.v))}; }
NEARFAR_INLINE F32 ToFloat(I32 x) { return {svcvt_f32_s32_x(All(), x.v)}; }
NEARFAR_INLINE I32 AddInts(I32 a, I32 b) { return {svadd_s32_x(All(), a.v, b.v)}; }
NEARFAR_INLINE I32 SubInts(I32 a, I32 b) { return {svsub_s32_x(All(), a.v, b.v)}; }
NEARFAR_INLINE I32 SetInts(int32_t x) { return {svdup_s32(x)}; }
template <int kBits>
NEARFAR_INLINE I32 ShiftLeftInts(I32 a) {
  return {svlsl_n_s32_x(All(), a.v, kBits)};
}
template <int kBits>
NEARFAR_INLINE I32 ShiftRightInts(I32 a) {
  return {svasr_n_s32_x(All(), a.v, kBits)};
}
NEARFAR_INLINE int32_t SumInts(I32 a) { return static_cast<int32_t>(svaddv_s32(All(), a.v)); }
NEARFAR_INLINE void StoreInt8(int8_t* to, I32 x) { svst1b_s32(All(), to, x.v); }
NEARFAR_INLINE F32 PowerOfTwo(I32 x) {
  return {svreinterpret_f32_s32(svlsl_n_s32_x(All(), svadd_n_s32_x(All(), x.v, 127), 23))};
}

// ---- 16-bit floats: in the lower half of each lane while they are converted -------------------

NEARFAR_INLINE F32 LoadHalf(const uint16_t* from) {
  return {svcvt_f32_f16_x(All(), svreinterpret_f16_u32(svld1uh_u32(All(), from)))};
}
NEARFAR_INLINE void StoreHalf(uint16_t* to, F32 x) {
  svst1h_u32(All(), to, svreinterpret_u32_f16(svcvt_f16_f32_x(All(), x.v)));
}
NEARFAR_INLINE F32 LoadBFloat16(const uint16_t* from) {
  return {svreinterpret_f32_u32(svlsl_n_u32_x(All(), svld1uh_u32(All(), from), 16))};
}

// ---- weights: four columns of each row --------------------------------------------------------

struct Bytes {
  FixedU8 v;
};

NEARFAR_INLINE svbool_t AllBytes() { return svptrue_b8(); }
// A compiler would take an immediate operand instead, whose AND overwrites what it is given.
NEARFAR_INLINE svuint8_t InRegister(uint8_t x) {
  FixedU8 v = svdup_u8(x);
  asm("" : "+w"(v));
  return v;
}
NEARFAR_INLINE Bytes LoadBytes(const uint8_t* from) { return {svld1_u8(AllBytes(), from)}; }
NEARFAR_INLINE Bytes LowNibbles(Bytes a) { return {svand_u8_x(AllBytes(), a.v, InRegister(15))}; }
NEARFAR_INLINE Bytes HighNibbles(Bytes a) { return {svlsr_n_u8_x(AllBytes(), a.v, 4)}; }
constexpr int kRawHighBits = 0;
NEARFAR_INLINE Bytes RawHighNibbles(Bytes a) { return HighNibbles(a); }

// Signed: where the fifth bit is clear, sixteen is taken off. A multiplication moves that bit up;
// of the last four pieces' bits, which are above it, the shift is the same for all four.
constexpr int kFiveBias = 0;
template <int kPiece, bool kHigh>
NEARFAR_INLINE Bytes WithFifthBit(Bytes nibbles, Bytes inverted) {
  const Bytes low = kHigh ? HighNibbles(nibbles) : LowNibbles(nibbles);
  const Bytes bits = kPiece < 4 ? inverted : HighNibbles(inverted);
  const svuint8_t clear = svand_u8_x(AllBytes(), bits.v, InRegister(1 << kPiece % 4));
  return {svmls_u8_x(AllBytes(), low.v, clear, InRegister(16 >> kPiece % 4))};
}
template <int kPiece, bool kHigh>
NEARFAR_INLINE Bytes WithUpperBits(Bytes nibbles, Bytes upper) {
  const Bytes low = kHigh ? HighNibbles(nibbles) : LowNibbles(nibbles);
  svuint8_t moved = upper.v;
  if constexpr (kPiece < 2) moved = svlsl_n_u8_x(AllBytes(), moved, 4 - 2 * kPiece);
  if constexpr (kPiece == 3) moved = svlsr_n_u8_x(AllBytes(), moved, 2);
  return {svorr_u8_x(AllBytes(), low.v, svand_u8_x(AllBytes(), moved, InRegister(0x30)))};
}
constexpr int kEightBias = 0;
NEARFAR_INLINE Bytes FromSigned(Bytes a) { return a; }

NEARFAR_INLINE F32 FromUnsigned8(const uint8_t* from) {
  return {svcvt_f32_u32_x(All(), svld1ub_u32(All(), from))};
}
NEARFAR_INLINE F32 FromSigned8(const int8_t* from) {
  return {svcvt_f32_s32_x(All(), svld1sb_s32(All(), from))};
}

// Unsigned weights below 64 are the same bytes signed, so one instruction serves every format.
template <int kBits>
class Dot {
 public:
  static constexpr int kTogether = 2;  // a whole strip
  NEARFAR_INLINE void Begin(I32 start) { sum_ = start.v; }
  template <int kPiece>
  NEARFAR_INLINE void Add(Bytes w, const int8_t* a) {
    sum_ = svdot_lane_s32(sum_, svreinterpret_s8_u8(w.v),
                          svld1rq_s8(AllBytes(), a + kPiece / 4 * 16), kPiece % 4);
  }
  NEARFAR_INLINE I32 Sum() const { return {sum_}; }

 private:
  FixedI32 sum_;
};

// ---- two rows by two tokens -------------------------------------------------------------------

NEARFAR_INLINE Bytes ZipLow(Bytes a, Bytes b) {
  return {svreinterpret_u8_u32(svzip1_u32(svreinterpret_u32_u8(a.v), svreinterpret_u32_u8(b.v)))};
}
NEARFAR_INLINE Bytes ZipHigh(Bytes a, Bytes b) {
  return {svreinterpret_u8_u32(svzip2_u32(svreinterpret_u32_u8(a.v), svreinterpret_u32_u8(b.v)))};
}
NEARFAR_INLINE F32 ZipLow(F32 a, F32 b) { return {svzip1_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 ZipHigh(F32 a, F32 b) { return {svzip2_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 Evens(F32 a, F32 b) { return {svuzp1_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 Odds(F32 a, F32 b) { return {svuzp2_f32(a.v, b.v)}; }
template <int kBias>
NEARFAR_INLINE Bytes Minus(Bytes a) {
  if constexpr (kBias == 0) return a;
  return {svsub_n_u8_x(AllBytes(), a.v, static_cast<uint8_t>(kBias))};
}
NEARFAR_INLINE I32 MultiplyPairs(I32 sums, Bytes rows, Bytes tokens) {
  return {svmmla_s32(sums.v, svreinterpret_s8_u8(rows.v), svreinterpret_s8_u8(tokens.v))};
}

NEARFAR_INLINE const uint8_t* LoadQuartet(const uint8_t* from, Bytes (&to)[4]) {
  for (int i = 0; i < 4; ++i) to[i] = LoadBytes(from + i * sizeof(Bytes));
  return from + 4 * sizeof(Bytes);
}
NEARFAR_INLINE const uint8_t* LoadQuartet(const uint8_t* from, F32 (&to)[4]) {
  for (int i = 0; i < 4; ++i) to[i] = Load(reinterpret_cast<const float*>(from) + i * kLanes);
  return from + 4 * sizeof(F32);
}
NEARFAR_INLINE Bytes LoadPairValue(const int8_t* from) {
  return {svld1rq_u8(AllBytes(), reinterpret_cast<const uint8_t*>(from))};
}
NEARFAR_INLINE const uint8_t* LoadPairQuartet(const uint8_t* from, Bytes (&to)[4]) {
  for (int i = 0; i < 4; ++i) to[i] = {svld1rq_u8(AllBytes(), from + 16 * i)};
  return from + 64;
}
NEARFAR_INLINE const uint8_t* LoadPairQuartet(const uint8_t* from, F32 (&to)[4]) {
  const float* const floats = reinterpret_cast<const float*>(from);
  for (int i = 0; i < 4; ++i) to[i] = {svld1rq_f32(All(), floats + 4 * i)};
  return from + 64;
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_SVE256_SIMD_H_
