// The vocabulary of kernels/common/ in plain C++: four lanes that a compiler may turn into whatever
// vectors its baseline has. Every other simd.h has the same names; this one says what they mean.
//
// A tile is kLanes rows of a weight matrix side by side: lane r belongs to row r, so the sums of a
// product need no adding across lanes, and a row's result does not depend on its neighbours.
//
// Everything here has internal linkage and is included by exactly one file, table.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_SCALAR_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_SCALAR_SIMD_H_

#include <stdint.h>
#include <string.h>

#include "local_engine/kernels/common/inline.h"

namespace nearfar::kernels {
namespace {

constexpr int kLanes = 4;
// Tokens whose sums fit into the registers beside one decoded tile.
constexpr int kTokenTile = 4;
// What FromSigned adds to a signed weight (0 where Dot<8> takes signed weights).
constexpr int kSignedOffset = 0;

// ---- f32 and i32 vectors ----------------------------------------------------------------------

struct F32 {
  float lane[kLanes];
};
struct I32 {
  int32_t lane[kLanes];
};

template <typename Function>
NEARFAR_INLINE F32 ForLanes(Function function) {
  F32 result;
  for (int i = 0; i < kLanes; ++i) result.lane[i] = function(i);
  return result;
}

NEARFAR_INLINE F32 Set(float x) {
  return ForLanes([&](int) { return x; });
}
NEARFAR_INLINE F32 Load(const float* from) {
  F32 result;
  memcpy(&result, from, sizeof(result));
  return result;
}
NEARFAR_INLINE void Store(float* to, F32 x) { memcpy(to, &x, sizeof(x)); }
NEARFAR_INLINE F32 Add(F32 a, F32 b) {
  return ForLanes([&](int i) { return a.lane[i] + b.lane[i]; });
}
NEARFAR_INLINE F32 Sub(F32 a, F32 b) {
  return ForLanes([&](int i) { return a.lane[i] - b.lane[i]; });
}
NEARFAR_INLINE F32 Mul(F32 a, F32 b) {
  return ForLanes([&](int i) { return a.lane[i] * b.lane[i]; });
}
NEARFAR_INLINE F32 Div(F32 a, F32 b) {
  return ForLanes([&](int i) { return a.lane[i] / b.lane[i]; });
}
// a * b + c; whether it rounds once or twice is the instruction set's affair.
NEARFAR_INLINE F32 Fma(F32 a, F32 b, F32 c) {
  return ForLanes([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}
// Of Max and Min, where an operand is no number: the second (x86 and here), or no number (NEON).
NEARFAR_INLINE F32 Max(F32 a, F32 b) {
  return ForLanes([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
NEARFAR_INLINE F32 Min(F32 a, F32 b) {
  return ForLanes([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
NEARFAR_INLINE F32 Abs(F32 a) {
  return ForLanes([&](int i) { return __builtin_fabsf(a.lane[i]); });
}
// 0 in lanes where x < bound, otherwise a.
NEARFAR_INLINE F32 ZeroWhereLess(F32 a, F32 x, F32 bound) {
  return ForLanes([&](int i) { return x.lane[i] < bound.lane[i] ? 0.0f : a.lane[i]; });
}
NEARFAR_INLINE float SumLanes(F32 a) { return (a.lane[0] + a.lane[2]) + (a.lane[1] + a.lane[3]); }
NEARFAR_INLINE float MaxLanes(F32 a) {
  float result = a.lane[0];
  for (int i = 1; i < kLanes; ++i) result = a.lane[i] > result ? a.lane[i] : result;
  return result;
}
// v[i].lane[j] becomes v[j].lane[i].
NEARFAR_INLINE void Transpose(F32 v[kLanes]) {
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < i; ++j) {
      const float kept = v[i].lane[j];
      v[i].lane[j] = v[j].lane[i];
      v[j].lane[i] = kept;
    }
  }
}
// from[0], from[2], ... and from[1], from[3], ...
NEARFAR_INLINE void LoadPairs(const float* from, F32* even, F32* odd) {
  for (int i = 0; i < kLanes; ++i) {
    even->lane[i] = from[2 * i];
    odd->lane[i] = from[2 * i + 1];
  }
}
NEARFAR_INLINE void StorePairs(float* to, F32 even, F32 odd) {
  for (int i = 0; i < kLanes; ++i) {
    to[2 * i] = even.lane[i];
    to[2 * i + 1] = odd.lane[i];
  }
}

// Nearest integer, ties to even; for |x| < 2^22.
NEARFAR_INLINE I32 RoundToInt(F32 x) {
  I32 result;
  for (int i = 0; i < kLanes; ++i) {
    // Adding 1.5 * 2^23 leaves no room for a fraction, so the addition itself rounds.
    const float rounded = (x.lane[i] + 0x1.8p23f) - 0x1.8p23f;
    // False for what is no number too, whose conversion would be undefined.
    const bool fits = rounded > -0x1p22f && rounded < 0x1p22f;
    result.lane[i] = fits ? static_cast<int32_t>(rounded) : 0;
  }
  return result;
}
NEARFAR_INLINE F32 ToFloat(I32 x) {
  return ForLanes([&](int i) { return static_cast<float>(x.lane[i]); });
}
NEARFAR_INLINE I32 AddInts(I32 a, I32 b) {
  for (int i = 0; i < kLanes; ++i) a.lane[i] += b.lane[i];
  return a;
}
NEARFAR_INLINE int32_t SumInts(I32 a) { return a.lane[0] + a.lane[1] + a.lane[2] + a.lane[3]; }
// The low bytes; |x| <= 127.
NEARFAR_INLINE void StoreInt8(int8_t* to, I32 x) {
  for (int i = 0; i < kLanes; ++i) to[i] = static_cast<int8_t>(x.lane[i]);
}
// 2^x for x in [-126, 127].
NEARFAR_INLINE F32 PowerOfTwo(I32 x) {
  F32 result;
  for (int i = 0; i < kLanes; ++i) {
    const uint32_t bits = static_cast<uint32_t>(x.lane[i] + 127) << 23;
    memcpy(&result.lane[i], &bits, sizeof(bits));
  }
  return result;
}

// ---- 16-bit floats ----------------------------------------------------------------------------

NEARFAR_INLINE float FloatFromBits(uint32_t bits) {
  float result;
  memcpy(&result, &bits, sizeof(result));
  return result;
}
NEARFAR_INLINE uint32_t BitsOfFloat(float x) {
  uint32_t result;
  memcpy(&result, &x, sizeof(result));
  return result;
}
NEARFAR_INLINE float HalfBitsToFloat(uint32_t half) {
  const uint32_t sign = (half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 0x1f;
  const uint32_t mantissa = half & 0x3ff;
  // A subnormal half is mantissa * 2^-24, which f32 holds exactly.
  if (exponent == 0) return FloatFromBits(BitsOfFloat(mantissa * 0x1p-24f) | sign);
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return FloatFromBits(sign | (wide << 23) | (mantissa << 13));
}
NEARFAR_INLINE uint16_t FloatToHalfBits(float x) {
  const uint32_t bits = BitsOfFloat(x);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x1ff));
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) {
    // Subnormal: adding 0.5 puts the last place of the half at the last place of the float.
    return static_cast<uint16_t>(sign |
                                 (BitsOfFloat(FloatFromBits(magnitude) + 0.5f) - 0x3f000000));
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}
NEARFAR_INLINE F32 LoadHalf(const uint16_t* from) {
  return ForLanes([&](int i) { return HalfBitsToFloat(from[i]); });
}
NEARFAR_INLINE void StoreHalf(uint16_t* to, F32 x) {
  for (int i = 0; i < kLanes; ++i) to[i] = FloatToHalfBits(x.lane[i]);
}
NEARFAR_INLINE F32 LoadBFloat16(const uint16_t* from) {
  return ForLanes([&](int i) { return FloatFromBits(static_cast<uint32_t>(from[i]) << 16); });
}

// ---- tiles of weights: four bytes of each row -------------------------------------------------

struct Bytes {
  uint32_t lane[kLanes];
};

// The rows of a tile. Where the matrix ends inside the tile, its last row stands in for the
// missing.
struct Rows {
  const uint8_t* at[kLanes];
};

NEARFAR_INLINE uint32_t LoadWord(const void* from) {
  uint32_t result;
  memcpy(&result, from, sizeof(result));
  return result;
}

// 16 bytes of each row from `offset`: out[i] holds bytes 4i .. 4i + 3.
NEARFAR_INLINE void Transpose16(const Rows& rows, int64_t offset, Bytes out[4]) {
  for (int i = 0; i < 4; ++i) {
    for (int r = 0; r < kLanes; ++r) out[i].lane[r] = LoadWord(rows.at[r] + offset + 4 * i);
  }
}
// The first 4 or 8 bytes alone, cheaper; 16 must be readable.
NEARFAR_INLINE void Transpose8(const Rows& rows, int64_t offset, Bytes out[2]) {
  for (int i = 0; i < 2; ++i) {
    for (int r = 0; r < kLanes; ++r) out[i].lane[r] = LoadWord(rows.at[r] + offset + 4 * i);
  }
}
NEARFAR_INLINE Bytes Transpose4(const Rows& rows, int64_t offset) {
  Bytes result;
  for (int r = 0; r < kLanes; ++r) result.lane[r] = LoadWord(rows.at[r] + offset);
  return result;
}

template <typename Function>
NEARFAR_INLINE Bytes ForWords(Function function) {
  Bytes result;
  for (int i = 0; i < kLanes; ++i) result.lane[i] = function(i);
  return result;
}
NEARFAR_INLINE Bytes SetBytes(uint8_t x) {
  return ForWords([&](int) { return x * 0x01010101u; });
}
NEARFAR_INLINE Bytes And(Bytes a, Bytes b) {
  return ForWords([&](int i) { return a.lane[i] & b.lane[i]; });
}
NEARFAR_INLINE Bytes Or(Bytes a, Bytes b) {
  return ForWords([&](int i) { return a.lane[i] | b.lane[i]; });
}
// Of the four bytes as one little-endian word: bits move into the neighbouring byte.
template <int kBits>
NEARFAR_INLINE Bytes ShiftRight(Bytes a) {
  return ForWords([&](int i) { return a.lane[i] >> kBits; });
}
template <int kBits>
NEARFAR_INLINE Bytes ShiftLeft(Bytes a) {
  return ForWords([&](int i) { return a.lane[i] << kBits; });
}
// Byte k becomes 16 where bit 4 * kGroup + k of the row's word is set, otherwise 0.
template <int kGroup>
NEARFAR_INLINE Bytes SixteenWhereBit(Bytes a) {
  // The product puts copies of the four bits 7 places apart, so that each byte catches its own.
  return ForWords(
      [&](int i) { return ((a.lane[i] >> (4 * kGroup) & 15) * 0x02040810u) & 0x10101010u; });
}
// Signed weights as Dot<8> wants them.
NEARFAR_INLINE Bytes FromSigned(Bytes a) { return a; }

// Byte kByte of each row, as a number.
template <int kByte>
NEARFAR_INLINE F32 UnsignedByte(Bytes a) {
  return ForLanes([&](int i) { return static_cast<float>(a.lane[i] >> (8 * kByte) & 255); });
}
template <int kByte>
NEARFAR_INLINE F32 SignedByte(Bytes a) {
  return ForLanes([&](int i) {
    return static_cast<float>(static_cast<int8_t>(a.lane[i] >> (8 * kByte) & 255));
  });
}
// The F16 in the low or high half of each row's four bytes.
NEARFAR_INLINE F32 LowHalf(Bytes a) {
  return ForLanes([&](int i) { return HalfBitsToFloat(a.lane[i] & 0xffff); });
}
NEARFAR_INLINE F32 HighHalf(Bytes a) {
  return ForLanes([&](int i) { return HalfBitsToFloat(a.lane[i] >> 16); });
}

// Sum of products of up to 32 weights of each row with the same activations, exact in integers.
// Weights are unsigned and below 2^kBits, or for kBits == 8 what FromSigned gives.
template <int kBits>
class Dot {
 public:
  // w[i] times a[4i .. 4i + 3].
  NEARFAR_INLINE void Add16(const Bytes w[4], const int8_t* a) {
    for (int i = 0; i < 4; ++i) {
      for (int r = 0; r < kLanes; ++r) {
        for (int k = 0; k < 4; ++k) sum_.lane[r] += Weight(w[i].lane[r] >> (8 * k)) * a[4 * i + k];
      }
    }
  }
  NEARFAR_INLINE F32 Sum() const { return ToFloat(sum_); }

 private:
  static NEARFAR_INLINE int32_t Weight(uint32_t word) {
    return kBits == 8 ? static_cast<int8_t>(word & 255) : static_cast<int32_t>(word & 255);
  }

  I32 sum_ = {};
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_SCALAR_SIMD_H_
