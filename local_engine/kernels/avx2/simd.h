// The vocabulary of kernels/common/ for AVX2 with FMA and F16C: eight lanes. scalar/simd.h says
// what the names mean. avx_vnni uses this file too and brings its own Dot.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_AVX2_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_AVX2_SIMD_H_

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "local_engine/kernels/common/inline.h"

namespace nearfar::kernels {
namespace {

constexpr int kLanes = 8;
constexpr int kQueryRows = 4;

// ---- f32 and i32 vectors ----------------------------------------------------------------------

struct F32 {
  __m256 v;
};
struct I32 {
  __m256i v;
};

NEARFAR_INLINE F32 Set(float x) { return {_mm256_set1_ps(x)}; }
NEARFAR_INLINE F32 Load(const float* from) { return {_mm256_loadu_ps(from)}; }
NEARFAR_INLINE void Store(float* to, F32 x) { _mm256_storeu_ps(to, x.v); }
NEARFAR_INLINE F32 Add(F32 a, F32 b) { return {_mm256_add_ps(a.v, b.v)}; }
NEARFAR_INLINE F32 Sub(F32 a, F32 b) { return {_mm256_sub_ps(a.v, b.v)}; }
NEARFAR_INLINE F32 Mul(F32 a, F32 b) { return {_mm256_mul_ps(a.v, b.v)}; }
NEARFAR_INLINE F32 Div(F32 a, F32 b) { return {_mm256_div_ps(a.v, b.v)}; }
NEARFAR_INLINE F32 Fma(F32 a, F32 b, F32 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
NEARFAR_INLINE F32 Max(F32 a, F32 b) { return {_mm256_max_ps(a.v, b.v)}; }
NEARFAR_INLINE F32 Min(F32 a, F32 b) { return {_mm256_min_ps(a.v, b.v)}; }
NEARFAR_INLINE F32 Abs(F32 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
NEARFAR_INLINE F32 ZeroWhereLess(F32 a, F32 x, F32 bound) {
  return {_mm256_andnot_ps(_mm256_cmp_ps(x.v, bound.v, _CMP_LT_OQ), a.v)};
}
NEARFAR_INLINE float SumLanes(F32 a) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}
NEARFAR_INLINE float MaxLanes(F32 a) {
  __m128 most = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  most = _mm_max_ps(most, _mm_movehl_ps(most, most));
  return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
}

NEARFAR_INLINE __m256 InOrder(__m256 quarters) {  // 64-bit quarters 0 2 1 3 to 0 1 2 3
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(quarters), 0xd8));
}
NEARFAR_INLINE void LoadPairs(const float* from, F32* even, F32* odd) {
  const __m256 a = _mm256_loadu_ps(from), b = _mm256_loadu_ps(from + 8);
  even->v = InOrder(_mm256_shuffle_ps(a, b, 0x88));
  odd->v = InOrder(_mm256_shuffle_ps(a, b, 0xdd));
}
NEARFAR_INLINE void StorePairs(float* to, F32 even, F32 odd) {
  const __m256 low = _mm256_unpacklo_ps(even.v, odd.v), high = _mm256_unpackhi_ps(even.v, odd.v);
  _mm256_storeu_ps(to, _mm256_permute2f128_ps(low, high, 0x20));
  _mm256_storeu_ps(to + 8, _mm256_permute2f128_ps(low, high, 0x31));
}

NEARFAR_INLINE I32 RoundToInt(F32 x) { return {_mm256_cvtps_epi32(x.v)}; }
NEARFAR_INLINE F32 ToFloat(I32 x) { return {_mm256_cvtepi32_ps(x.v)}; }
NEARFAR_INLINE I32 AddInts(I32 a, I32 b) { return {_mm256_add_epi32(a.v, b.v)}; }
NEARFAR_INLINE I32 SubInts(I32 a, I32 b) { return {_mm256_sub_epi32(a.v, b.v)}; }
NEARFAR_INLINE I32 SetInts(int32_t x) { return {_mm256_set1_epi32(x)}; }
template <int kBits>
NEARFAR_INLINE I32 ShiftLeftInts(I32 a) {
  return {_mm256_slli_epi32(a.v, kBits)};
}
template <int kBits>
NEARFAR_INLINE I32 ShiftRightInts(I32 a) {
  return {_mm256_srai_epi32(a.v, kBits)};
}
NEARFAR_INLINE int32_t SumInts(I32 a) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(a.v), _mm256_extracti128_si256(a.v, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}
NEARFAR_INLINE void StoreInt8(int8_t* to, I32 x) {
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(x.v), _mm256_extracti128_si256(x.v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi16(words, words));
}
NEARFAR_INLINE F32 PowerOfTwo(I32 x) {
  const __m256i exponent = _mm256_add_epi32(x.v, _mm256_set1_epi32(127));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23))};
}

// ---- 16-bit floats ----------------------------------------------------------------------------

NEARFAR_INLINE __m128i Load128(const void* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
NEARFAR_INLINE F32 LoadHalf(const uint16_t* from) { return {_mm256_cvtph_ps(Load128(from))}; }
NEARFAR_INLINE void StoreHalf(uint16_t* to, F32 x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm256_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
NEARFAR_INLINE F32 LoadBFloat16(const uint16_t* from) {
  const __m256i wide = _mm256_cvtepu16_epi32(Load128(from));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))};
}

// ---- weights: four columns of each row --------------------------------------------------------

struct Bytes {
  __m256i v;
};

NEARFAR_INLINE __m256i AllBytes(uint8_t x) { return _mm256_set1_epi8(static_cast<char>(x)); }
NEARFAR_INLINE Bytes LoadBytes(const uint8_t* from) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))};
}
NEARFAR_INLINE Bytes LowNibbles(Bytes a) { return {_mm256_and_si256(a.v, AllBytes(15))}; }
NEARFAR_INLINE Bytes HighNibbles(Bytes a) {
  return {_mm256_and_si256(_mm256_srli_epi32(a.v, 4), AllBytes(15))};
}
// Bits of a moved so that bit kFrom of each byte is at kTo; bits cross bytes.
template <int kFrom, int kTo>
NEARFAR_INLINE __m256i MoveBit(__m256i a) {
  if constexpr (kFrom > kTo) return _mm256_srli_epi32(a, kFrom - kTo);
  if constexpr (kFrom < kTo) return _mm256_slli_epi32(a, kTo - kFrom);
  return a;
}
constexpr int kFiveBias = 16;
template <int kPiece, bool kHigh>
NEARFAR_INLINE Bytes WithFifthBit(Bytes nibbles, Bytes inverted) {
  const Bytes low = kHigh ? HighNibbles(nibbles) : LowNibbles(nibbles);
  const __m256i fifth = _mm256_andnot_si256(MoveBit<kPiece, 4>(inverted.v), AllBytes(16));
  return {_mm256_or_si256(low.v, fifth)};
}
template <int kPiece, bool kHigh>
NEARFAR_INLINE Bytes WithUpperBits(Bytes nibbles, Bytes upper) {
  const Bytes low = kHigh ? HighNibbles(nibbles) : LowNibbles(nibbles);
  const __m256i bits = _mm256_and_si256(MoveBit<2 * kPiece, 4>(upper.v), AllBytes(0x30));
  return {_mm256_or_si256(low.v, bits)};
}

NEARFAR_INLINE __m128i Load64(const void* from) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
}
NEARFAR_INLINE F32 FromUnsigned8(const uint8_t* from) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(Load64(from)))};
}
NEARFAR_INLINE F32 FromSigned8(const int8_t* from) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(Load64(from)))};
}

NEARFAR_INLINE __m256i BroadcastWord(const int8_t* from) {
  int32_t word;
  memcpy(&word, from, sizeof(word));
  return _mm256_set1_epi32(word);
}

#ifndef NEARFAR_KERNELS_OWN_DOT

constexpr int kTokenTile = 4;
constexpr int kMostDots = 4;
constexpr int kLeastPrefetch = 1;
template <int kScales>
constexpr int64_t kMostDirectTokens = 16;
constexpr int kDotChains = 2;
constexpr int kRawHighBits = 0;
NEARFAR_INLINE Bytes RawHighNibbles(Bytes a) { return HighNibbles(a); }
constexpr int kEightBias = 0;
NEARFAR_INLINE Bytes FromSigned(Bytes a) { return a; }

// VPMADDUBSW adds two products of unsigned and signed bytes into 16 bits and saturates. With
// activations of at most 127 in magnitude, n such pairs stay below 2^15 for
//   4 bits: 8 pairs (30,480)   5 bits: 4 pairs (31,496)   6 bits: 2 pairs (32,004)
// and for signed weights, taken as magnitude times signed activation, one pair (32,512).
template <int kBits>
class Dot {
 public:
  NEARFAR_INLINE void Begin(I32 start) { sum_ = start.v; }
  template <int kPiece>
  NEARFAR_INLINE void Add(Bytes w, const int8_t* a) {
    constexpr int kPairs = kBits <= 4 ? 8 : kBits == 5 ? 4 : kBits == 6 ? 2 : 1;
    const __m256i pairs = Pairs(w.v, BroadcastWord(a + 4 * kPiece));
    narrow_ = kPiece % kPairs == 0 ? pairs : _mm256_add_epi16(narrow_, pairs);
    if constexpr (kPiece % kPairs == kPairs - 1) {
      sum_ = _mm256_add_epi32(sum_, _mm256_madd_epi16(narrow_, _mm256_set1_epi16(1)));
    }
  }
  NEARFAR_INLINE I32 Sum() const { return {sum_}; }

 private:
  static NEARFAR_INLINE __m256i Pairs(__m256i w, __m256i a) {
    if constexpr (kBits < 8) return _mm256_maddubs_epi16(w, a);
    return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
  }

  __m256i sum_;
  __m256i narrow_;  // 16-bit sums since sum_ was added to
};

#endif  // NEARFAR_KERNELS_OWN_DOT

}  // namespace
}  // namespace nearfar::kernels

#include "local_engine/kernels/common/multipliers-inl.h"

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_AVX2_SIMD_H_
