// The vocabulary of kernels/common/ for AVX-512 with VNNI (Ice Lake, Zen 4 and later): sixteen
// lanes. scalar/simd.h says what the names mean.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_AVX512_VNNI_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_AVX512_VNNI_SIMD_H_

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "local_engine/kernels/common/inline.h"

namespace nearfar::kernels {
namespace {

constexpr int kLanes = 16;
constexpr int kQueryRows = 8;
constexpr int kTokenTile = 8;
constexpr int kMostDots = 16;
constexpr int kLeastPrefetch = 2;
template <int kScales>
constexpr int64_t kMostDirectTokens = kScales == 1 ? INT64_MAX : 16;
constexpr int kDotChains = 8;

// ---- f32 and i32 vectors ----------------------------------------------------------------------

struct F32 {
  __m512 v;
};
struct I32 {
  __m512i v;
};

NEARFAR_INLINE F32 Set(float x) { return {_mm512_set1_ps(x)}; }
NEARFAR_INLINE F32 Load(const float* from) { return {_mm512_loadu_ps(from)}; }
NEARFAR_INLINE void Store(float* to, F32 x) { _mm512_storeu_ps(to, x.v); }
NEARFAR_INLINE F32 Add(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
NEARFAR_INLINE F32 Sub(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
NEARFAR_INLINE F32 Mul(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
NEARFAR_INLINE F32 Div(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
NEARFAR_INLINE F32 Fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
NEARFAR_INLINE F32 Max(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
NEARFAR_INLINE F32 Min(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
NEARFAR_INLINE F32 Abs(F32 a) { return {_mm512_abs_ps(a.v)}; }
NEARFAR_INLINE F32 ZeroWhereLess(F32 a, F32 x, F32 bound) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, bound.v, _CMP_NLT_UQ), a.v)};
}
NEARFAR_INLINE float SumLanes(F32 a) { return _mm512_reduce_add_ps(a.v); }
NEARFAR_INLINE float MaxLanes(F32 a) { return _mm512_reduce_max_ps(a.v); }

NEARFAR_INLINE __m512i PairPlaces(int first, int step) {
  return _mm512_add_epi32(
      _mm512_set1_epi32(first),
      _mm512_mullo_epi32(_mm512_set1_epi32(step),
                         _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}
NEARFAR_INLINE void LoadPairs(const float* from, F32* even, F32* odd) {
  const __m512 a = _mm512_loadu_ps(from), b = _mm512_loadu_ps(from + kLanes);
  even->v = _mm512_permutex2var_ps(a, PairPlaces(0, 2), b);
  odd->v = _mm512_permutex2var_ps(a, PairPlaces(1, 2), b);
}
NEARFAR_INLINE void StorePairs(float* to, F32 even, F32 odd) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  _mm512_storeu_ps(to, _mm512_permutex2var_ps(even.v, low, odd.v));
  _mm512_storeu_ps(to + kLanes, _mm512_permutex2var_ps(even.v, high, odd.v));
}

NEARFAR_INLINE I32 RoundToInt(F32 x) { return {_mm512_cvtps_epi32(x.v)}; }
NEARFAR_INLINE F32 ToFloat(I32 x) { return {_mm512_cvtepi32_ps(x.v)}; }
NEARFAR_INLINE I32 AddInts(I32 a, I32 b) { return {_mm512_add_epi32(a.v, b.v)}; }
NEARFAR_INLINE I32 SubInts(I32 a, I32 b) { return {_mm512_sub_epi32(a.v, b.v)}; }
NEARFAR_INLINE I32 SetInts(int32_t x) { return {_mm512_set1_epi32(x)}; }
template <int kBits>
NEARFAR_INLINE I32 ShiftLeftInts(I32 a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
template <int kBits>
NEARFAR_INLINE I32 ShiftRightInts(I32 a) {
  return {_mm512_srai_epi32(a.v, kBits)};
}
// May wrap, as unsigned: of what is not finite the integers are anything.
NEARFAR_INLINE int32_t SumInts(I32 a) {
  const __m256i eight =
      _mm256_add_epi32(_mm512_castsi512_si256(a.v), _mm512_extracti64x4_epi64(a.v, 1));
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}
NEARFAR_INLINE void StoreInt8(int8_t* to, I32 x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtsepi32_epi8(x.v));
}
NEARFAR_INLINE F32 PowerOfTwo(I32 x) {
  const __m512i exponent = _mm512_add_epi32(x.v, _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23))};
}

// ---- 16-bit floats ----------------------------------------------------------------------------

NEARFAR_INLINE __m256i Load256(const void* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
NEARFAR_INLINE F32 LoadHalf(const uint16_t* from) { return {_mm512_cvtph_ps(Load256(from))}; }
NEARFAR_INLINE void StoreHalf(uint16_t* to, F32 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
NEARFAR_INLINE F32 LoadBFloat16(const uint16_t* from) {
  const __m512i wide = _mm512_cvtepu16_epi32(Load256(from));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}

// ---- weights: four columns of each row --------------------------------------------------------

struct Bytes {
  __m512i v;
};

NEARFAR_INLINE __m512i AllBytes(uint8_t x) { return _mm512_set1_epi8(static_cast<char>(x)); }
NEARFAR_INLINE Bytes LoadBytes(const uint8_t* from) { return {_mm512_loadu_si512(from)}; }
NEARFAR_INLINE Bytes LowNibbles(Bytes a) { return {_mm512_and_si512(a.v, AllBytes(15))}; }
NEARFAR_INLINE Bytes HighNibbles(Bytes a) {
  return {_mm512_and_si512(_mm512_srli_epi32(a.v, 4), AllBytes(15))};
}
// VPDPBUSD takes unsigned weights, and widens to 32 bits at once, so nothing saturates: the high
// nibbles may stay where they are, and signed weights are shifted up.
constexpr int kRawHighBits = 4;
NEARFAR_INLINE Bytes RawHighNibbles(Bytes a) { return {_mm512_and_si512(a.v, AllBytes(0xf0))}; }

// Bits of a moved so that bit kFrom of each byte is at kTo; bits cross bytes.
template <int kFrom, int kTo>
NEARFAR_INLINE __m512i MoveBit(__m512i a) {
  if constexpr (kFrom > kTo) return _mm512_srli_epi32(a, kFrom - kTo);
  if constexpr (kFrom < kTo) return _mm512_slli_epi32(a, kTo - kFrom);
  return a;
}
constexpr int kFiveBias = 16;
template <int kPiece, bool kHigh>
NEARFAR_INLINE Bytes WithFifthBit(Bytes nibbles, Bytes inverted) {
  const Bytes low = kHigh ? HighNibbles(nibbles) : LowNibbles(nibbles);
  constexpr int kOrOfAndNot = 0xf2;  // a | (~b & c)
  const __m512i moved = MoveBit<kPiece, 4>(inverted.v);
  return {_mm512_ternarylogic_epi32(low.v, moved, AllBytes(16), kOrOfAndNot)};
}
template <int kPiece, bool kHigh>
NEARFAR_INLINE Bytes WithUpperBits(Bytes nibbles, Bytes upper) {
  const Bytes low = kHigh ? HighNibbles(nibbles) : LowNibbles(nibbles);
  constexpr int kOrOfAnd = 0xf8;  // a | (b & c)
  const __m512i moved = MoveBit<2 * kPiece, 4>(upper.v);
  return {_mm512_ternarylogic_epi32(low.v, moved, AllBytes(0x30), kOrOfAnd)};
}
constexpr int kEightBias = 128;
NEARFAR_INLINE Bytes FromSigned(Bytes a) { return {_mm512_xor_si512(a.v, AllBytes(128))}; }

NEARFAR_INLINE __m128i Load128(const void* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
NEARFAR_INLINE F32 FromUnsigned8(const uint8_t* from) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(Load128(from)))};
}
NEARFAR_INLINE F32 FromSigned8(const int8_t* from) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(Load128(from)))};
}

template <int kBits>
class Dot {
 public:
  NEARFAR_INLINE void Begin(I32 start) { sum_ = start.v; }
  template <int kPiece>
  NEARFAR_INLINE void Add(Bytes w, const int8_t* a) {
    int32_t word;
    memcpy(&word, a + 4 * kPiece, sizeof(word));
    sum_ = _mm512_dpbusd_epi32(sum_, w.v, _mm512_set1_epi32(word));
  }
  NEARFAR_INLINE I32 Sum() const { return {sum_}; }

 private:
  __m512i sum_;
};

}  // namespace
}  // namespace nearfar::kernels

#include "local_engine/kernels/common/multipliers-inl.h"

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_AVX512_VNNI_SIMD_H_
