// The vocabulary of kernels/common/ in plain C++: four lanes that a compiler may turn into whatever
// vectors its baseline has. Every other simd.h has the same names; this one says what they mean.
//
// In a product lane r belongs to row r of kLanes rows of the weights, so its sums need no adding
// across lanes, and a row's result does not depend on its neighbours.
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
// Query rows whose sums of scores fit into the registers.
constexpr int kQueryRows = 4;
// Tokens whose sums fit into the registers beside a decoded block.
constexpr int kTokenTile = 1;
// Dot products that the registers hold beside what else a product needs.
constexpr int kMostDots = 4;
// From how many tokens on weights are asked for ahead of their use.
constexpr int kLeastPrefetch = 2;
// Up to how many tokens, of formats with so many scales a block, a block is decoded anew for each
// kTokenTile of them, instead of once into a panel.
template <int kScales>
constexpr int64_t kMostDirectTokens = 1;
// Dot<4>s side by side that come nearest to what the instruction set can do (limits-inl.h).
constexpr int kDotChains = 2;

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
// kMultipliers, Multipliers, FmaBy: common/multipliers-inl.h.
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
NEARFAR_INLINE I32 SubInts(I32 a, I32 b) {
  for (int i = 0; i < kLanes; ++i) a.lane[i] -= b.lane[i];
  return a;
}
NEARFAR_INLINE I32 SetInts(int32_t x) { return {{x, x, x, x}}; }
// May wrap, as unsigned.
template <int kBits>
NEARFAR_INLINE I32 ShiftLeftInts(I32 a) {
  for (int i = 0; i < kLanes; ++i) {
    a.lane[i] = static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) << kBits);
  }
  return a;
}
// With the sign.
template <int kBits>
NEARFAR_INLINE I32 ShiftRightInts(I32 a) {
  for (int i = 0; i < kLanes; ++i) a.lane[i] >>= kBits;
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

// ---- weights: four columns of each row --------------------------------------------------------

struct Bytes {
  uint32_t lane[kLanes];
};

NEARFAR_INLINE Bytes LoadBytes(const uint8_t* from) {
  Bytes result;
  memcpy(&result, from, sizeof(result));
  return result;
}

template <typename Function>
NEARFAR_INLINE Bytes ForWords(Function function) {
  Bytes result;
  for (int i = 0; i < kLanes; ++i) result.lane[i] = function(i);
  return result;
}
NEARFAR_INLINE Bytes LowNibbles(Bytes a) {
  return ForWords([&](int i) { return a.lane[i] & 0x0f0f0f0f; });
}
NEARFAR_INLINE Bytes HighNibbles(Bytes a) {
  return ForWords([&](int i) { return a.lane[i] >> 4 & 0x0f0f0f0f; });
}
// 2^kRawHighBits times HighNibbles, for Dot<4>.
constexpr int kRawHighBits = 0;
NEARFAR_INLINE Bytes RawHighNibbles(Bytes a) { return HighNibbles(a); }

// The low or the high nibbles, with bit kPiece of each byte of `inverted` as the inverse of their
// fifth bit, for Dot<5>: as numbers in [kFiveBias - 16, kFiveBias + 16), whose sixteen is
// kFiveBias.
constexpr int kFiveBias = 16;
template <int kPiece, bool kHigh>
NEARFAR_INLINE Bytes WithFifthBit(Bytes nibbles, Bytes inverted) {
  return ForWords([&](int i) {
    const uint32_t low = nibbles.lane[i] >> (kHigh ? 4 : 0) & 0x0f0f0f0f;
    return low | (~inverted.lane[i] >> kPiece & 0x01010101) << 4;
  });
}
// The low or the high nibbles, with bits 2 * kPiece and 2 * kPiece + 1 of `upper` above them, for
// Dot<6>.
template <int kPiece, bool kHigh>
NEARFAR_INLINE Bytes WithUpperBits(Bytes nibbles, Bytes upper) {
  return ForWords([&](int i) {
    const uint32_t low = nibbles.lane[i] >> (kHigh ? 4 : 0) & 0x0f0f0f0f;
    return low | (upper.lane[i] >> (2 * kPiece) & 0x03030303) << 4;
  });
}
// Signed bytes with kEightBias added, for Dot<8>.
constexpr int kEightBias = 0;
NEARFAR_INLINE Bytes FromSigned(Bytes a) { return a; }

// kLanes bytes as numbers.
NEARFAR_INLINE F32 FromUnsigned8(const uint8_t* from) {
  return ForLanes([&](int i) { return static_cast<float>(from[i]); });
}
NEARFAR_INLINE F32 FromSigned8(const int8_t* from) {
  return ForLanes([&](int i) { return static_cast<float>(from[i]); });
}

// A start and the products of up to 32 weights of each row with the same activations, exact in
// integers. Weights are what the functions above give, of kBits bits.
template <int kBits>
class Dot {
 public:
  NEARFAR_INLINE void Begin(I32 start) { sum_ = start; }
  // w times a[4 * kPiece .. 4 * kPiece + 3].
  template <int kPiece>
  NEARFAR_INLINE void Add(Bytes w, const int8_t* a) {
    for (int r = 0; r < kLanes; ++r) {
      for (int k = 0; k < 4; ++k) sum_.lane[r] += Weight(w.lane[r] >> (8 * k)) * a[4 * kPiece + k];
    }
  }
  NEARFAR_INLINE I32 Sum() const { return sum_; }

 private:
  static NEARFAR_INLINE int32_t Weight(uint32_t word) {
    return kBits == 8 ? static_cast<int8_t>(word & 255) : static_cast<int32_t>(word & 255);
  }

  I32 sum_;
};

}  // namespace
}  // namespace nearfar::kernels

#include "local_engine/kernels/common/multipliers-inl.h"

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_SCALAR_SIMD_H_
