// The vocabulary of kernels/common/ for AVX2 with FMA and F16C: eight lanes. scalar/simd.h says
// what the names mean. avx_vnni and avx512_vnni use this file too and bring their own Dot.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_AVX2_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_AVX2_SIMD_H_

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "local_engine/kernels/common/inline.h"

namespace nearfar::kernels {
namespace {

constexpr int kLanes = 8;

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

NEARFAR_INLINE void Transpose(F32 v[kLanes]) {
  __m256 pairs[8], quads[8];
  for (int i = 0; i < 4; ++i) {
    pairs[2 * i] = _mm256_unpacklo_ps(v[2 * i].v, v[2 * i + 1].v);
    pairs[2 * i + 1] = _mm256_unpackhi_ps(v[2 * i].v, v[2 * i + 1].v);
  }
  for (int i = 0; i < 2; ++i) {
    const __m256* p = pairs + 4 * i;
    quads[4 * i] = _mm256_shuffle_ps(p[0], p[2], 0x44);
    quads[4 * i + 1] = _mm256_shuffle_ps(p[0], p[2], 0xee);
    quads[4 * i + 2] = _mm256_shuffle_ps(p[1], p[3], 0x44);
    quads[4 * i + 3] = _mm256_shuffle_ps(p[1], p[3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    v[i].v = _mm256_permute2f128_ps(quads[i], quads[4 + i], 0x20);
    v[4 + i].v = _mm256_permute2f128_ps(quads[i], quads[4 + i], 0x31);
  }
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

// ---- tiles of weights: four bytes of each row -------------------------------------------------

struct Bytes {
  __m256i v;
};
struct Rows {
  const uint8_t* at[kLanes];
};

// 16 bytes of rows r and r + 4.
NEARFAR_INLINE __m256i LoadRowPair(const Rows& rows, int r, int64_t offset) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(Load128(rows.at[r] + offset)),
                                 Load128(rows.at[r + 4] + offset), 1);
}

NEARFAR_INLINE void Transpose16(const Rows& rows, int64_t offset, Bytes out[4]) {
  const __m256i a = LoadRowPair(rows, 0, offset), b = LoadRowPair(rows, 1, offset);
  const __m256i c = LoadRowPair(rows, 2, offset), d = LoadRowPair(rows, 3, offset);
  const __m256i ab_low = _mm256_unpacklo_epi32(a, b), cd_low = _mm256_unpacklo_epi32(c, d);
  const __m256i ab_high = _mm256_unpackhi_epi32(a, b), cd_high = _mm256_unpackhi_epi32(c, d);
  out[0].v = _mm256_unpacklo_epi64(ab_low, cd_low);
  out[1].v = _mm256_unpackhi_epi64(ab_low, cd_low);
  out[2].v = _mm256_unpacklo_epi64(ab_high, cd_high);
  out[3].v = _mm256_unpackhi_epi64(ab_high, cd_high);
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

NEARFAR_INLINE Bytes SetBytes(uint8_t x) { return {_mm256_set1_epi8(static_cast<char>(x))}; }
NEARFAR_INLINE Bytes And(Bytes a, Bytes b) { return {_mm256_and_si256(a.v, b.v)}; }
NEARFAR_INLINE Bytes Or(Bytes a, Bytes b) { return {_mm256_or_si256(a.v, b.v)}; }
template <int kBits>
NEARFAR_INLINE Bytes ShiftRight(Bytes a) {
  return {_mm256_srli_epi32(a.v, kBits)};
}
template <int kBits>
NEARFAR_INLINE Bytes ShiftLeft(Bytes a) {
  return {_mm256_slli_epi32(a.v, kBits)};
}
template <int kGroup>
NEARFAR_INLINE Bytes SixteenWhereBit(Bytes a) {
  // Each byte of a lane gets the byte that holds the group's four bits, and keeps its own of them.
  const int byte = kGroup / 2;
  const __m256i spread = _mm256_shuffle_epi8(
      a.v, _mm256_add_epi8(_mm256_set1_epi8(byte),
                           _mm256_set_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0, 0x0c0c0c0c,
                                            0x08080808, 0x04040404, 0)));
  const __m256i own =
      _mm256_set1_epi32(kGroup % 2 == 0 ? 0x08040201 : static_cast<int>(0x80402010));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, own), own);
  return {_mm256_and_si256(set, _mm256_set1_epi8(16))};
}

template <int kByte>
NEARFAR_INLINE F32 UnsignedByte(Bytes a) {
  return {_mm256_cvtepi32_ps(
      _mm256_and_si256(_mm256_srli_epi32(a.v, 8 * kByte), _mm256_set1_epi32(255)))};
}
template <int kByte>
NEARFAR_INLINE F32 SignedByte(Bytes a) {
  return {_mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(a.v, 24 - 8 * kByte), 24))};
}
NEARFAR_INLINE F32 HalvesOfWords(__m256i words) {  // each below 65536
  const __m256i packed = _mm256_packus_epi32(words, words);
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)))};
}
NEARFAR_INLINE F32 LowHalf(Bytes a) {
  return HalvesOfWords(_mm256_and_si256(a.v, _mm256_set1_epi32(0xffff)));
}
NEARFAR_INLINE F32 HighHalf(Bytes a) { return HalvesOfWords(_mm256_srli_epi32(a.v, 16)); }

NEARFAR_INLINE __m256i BroadcastWord(const int8_t* from) {
  int32_t word;
  memcpy(&word, from, sizeof(word));
  return _mm256_set1_epi32(word);
}

#ifndef NEARFAR_KERNELS_OWN_DOT

// Tokens whose sums fit into the registers beside one decoded tile.
constexpr int kTokenTile = 4;
constexpr int kSignedOffset = 0;
NEARFAR_INLINE Bytes FromSigned(Bytes a) { return a; }

// VPMADDUBSW adds two products of unsigned and signed bytes into 16 bits and saturates. With
// activations of at most 127 in magnitude, n such pairs stay below 2^15 for
//   4 bits: 8 pairs (30,480)   5 bits: 4 pairs (31,496)   6 bits: 2 pairs (32,004)
// and for signed weights, taken as magnitude times signed activation, one pair (32,512).
template <int kBits>
class Dot {
 public:
  NEARFAR_INLINE void Add16(const Bytes w[4], const int8_t* a) {
    const __m256i p0 = Pairs(w[0].v, BroadcastWord(a)), p1 = Pairs(w[1].v, BroadcastWord(a + 4));
    const __m256i p2 = Pairs(w[2].v, BroadcastWord(a + 8));
    const __m256i p3 = Pairs(w[3].v, BroadcastWord(a + 12));
    if constexpr (kBits <= 4) {
      const __m256i sum = _mm256_add_epi16(_mm256_add_epi16(p0, p1), _mm256_add_epi16(p2, p3));
      sum_ = _mm256_add_epi16(sum_, sum);
    } else if constexpr (kBits == 5) {
      AddWide(_mm256_add_epi16(_mm256_add_epi16(p0, p1), _mm256_add_epi16(p2, p3)));
    } else if constexpr (kBits == 6) {
      AddWide(_mm256_add_epi16(p0, p1));
      AddWide(_mm256_add_epi16(p2, p3));
    } else {
      AddWide(p0);
      AddWide(p1);
      AddWide(p2);
      AddWide(p3);
    }
  }
  NEARFAR_INLINE F32 Sum() const { return {_mm256_cvtepi32_ps(kBits <= 4 ? Widen(sum_) : sum_)}; }

 private:
  static NEARFAR_INLINE __m256i Pairs(__m256i w, __m256i a) {
    if constexpr (kBits < 8) return _mm256_maddubs_epi16(w, a);
    return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
  }
  static NEARFAR_INLINE __m256i Widen(__m256i pairs) {
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }
  NEARFAR_INLINE void AddWide(__m256i pairs) { sum_ = _mm256_add_epi32(sum_, Widen(pairs)); }

  __m256i sum_ = _mm256_setzero_si256();  // 16-bit sums of up to 8 pairs, or 32-bit sums
};

#endif  // NEARFAR_KERNELS_OWN_DOT

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_AVX2_SIMD_H_
