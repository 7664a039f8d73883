// The two 16-bit floats of model files, converted exactly in plain integer arithmetic.
//
// No CPU feature is assumed, so that the reference formats give the same bits on every machine;
// the kernels use the hardware's conversions and are tested against these.
// Held by tests/local_engine/base/half_test.cc (all 65,536 patterns of each).

#ifndef NEARFAR_LOCAL_ENGINE_BASE_HALF_H_
#define NEARFAR_LOCAL_ENGINE_BASE_HALF_H_

#include <bit>
#include <cstdint>

namespace nearfar {

// IEEE 754 binary16 to binary32. Exact; a NaN stays a NaN with its payload.
inline constexpr float HalfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0) {
    // Zero or subnormal: mantissa * 2^-24, exact in f32.
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  const uint32_t wide = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

// binary32 to binary16, ties to even; what is too large becomes infinity, a NaN a quiet NaN.
inline constexpr uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));
  }
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // >= 65520
  if (magnitude < 0x33000001u) return sign;  // <= 2^-25: half of the least subnormal ties to zero
  uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
  const int exponent = static_cast<int>(magnitude >> 23) - 112;  // biased as in binary16
  const int shift = exponent >= 1 ? 13 : 14 - exponent;
  const uint32_t half_ulp = 1u << (shift - 1);
  const uint32_t odd = (mantissa >> shift) & 1u;
  mantissa = (mantissa + half_ulp - 1 + odd) >> shift;
  // The implicit bit (and a carry out of the mantissa) adds itself into the exponent field.
  const uint32_t base = exponent >= 1 ? static_cast<uint32_t>(exponent - 1) << 10 : 0;
  return static_cast<uint16_t>(sign | (base + mantissa));
}

// bfloat16 to binary32. Exact.
inline constexpr float BFloat16ToFloat(uint16_t value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

// binary32 to bfloat16, ties to even; a NaN becomes a quiet NaN.
inline constexpr uint16_t FloatToBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_HALF_H_
