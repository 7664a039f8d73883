// local_engine/base/half.h against definitions that share no code with it.

#include "local_engine/base/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace nearfar {
namespace {

// binary16 by its definition.
double Defined(uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  const double magnitude = exponent == 0    ? std::ldexp(mantissa, -24)
                           : exponent == 31 ? std::numeric_limits<double>::infinity()
                                            : std::ldexp(1024 + mantissa, exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

bool IsNan(uint16_t half) { return (half & 0x7fff) > 0x7c00; }

TEST(HalfTest, EveryPatternWidensToItsDefinition) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const uint16_t half = static_cast<uint16_t>(bits);
    const float wide = HalfToFloat(half);
    if (IsNan(half)) {
      ASSERT_TRUE(std::isnan(wide)) << bits;
    } else {
      ASSERT_EQ(static_cast<double>(wide), Defined(half)) << bits;
      ASSERT_EQ(std::signbit(wide), bits >= 0x8000) << bits;
    }
  }
}

TEST(HalfTest, EveryPatternComesBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const uint16_t half = static_cast<uint16_t>(bits);
    const uint16_t back = FloatToHalf(HalfToFloat(half));
    if (IsNan(half)) {
      ASSERT_TRUE(IsNan(back)) << bits;
    } else {
      ASSERT_EQ(back, half) << bits;
    }
  }
}

// Between each pair of neighbours: the middle goes to the even one, and a hair beside it to the
// nearer one.
TEST(HalfTest, RoundsToNearestTiesToEven) {
  for (uint16_t half = 0; half < 0x7bff; ++half) {
    const double middle = (Defined(half) + Defined(half + 1)) / 2;
    const float tie = static_cast<float>(middle);  // exact: one bit more than a half has
    const uint16_t even = half % 2 == 0 ? half : half + 1;
    ASSERT_EQ(FloatToHalf(tie), even) << half;
    ASSERT_EQ(FloatToHalf(-tie), even | 0x8000) << half;
    ASSERT_EQ(FloatToHalf(std::nextafter(tie, 0.0f)), half) << half;
    ASSERT_EQ(FloatToHalf(std::nextafter(tie, 1e9f)), half + 1) << half;
  }
}

TEST(HalfTest, LargeValuesBecomeInfinity) {
  EXPECT_EQ(FloatToHalf(65504.0f), 0x7bff);
  EXPECT_EQ(FloatToHalf(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToHalf(-1e30f), 0xfc00);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::infinity()), 0x7c00);
}

TEST(HalfTest, IsConstexpr) {
  static_assert(HalfToFloat(0x3c00) == 1.0f);
  static_assert(FloatToHalf(-2.0f) == 0xc000);
  static_assert(BFloat16ToFloat(0x3f80) == 1.0f);
  static_assert(FloatToBFloat16(1.0f) == 0x3f80);
  static_assert(HalfToFloat(0x0001) == 0x1p-24f);
}

TEST(BFloat16Test, EveryPatternIsTheUpperHalfOfAFloatAndComesBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const uint16_t narrow = static_cast<uint16_t>(bits);
    const float wide = BFloat16ToFloat(narrow);
    ASSERT_EQ(std::bit_cast<uint32_t>(wide), bits << 16);
    if (!std::isnan(wide)) {
      ASSERT_EQ(FloatToBFloat16(wide), narrow) << bits;
    }
  }
}

TEST(BFloat16Test, RoundsToNearestTiesToEven) {
  EXPECT_EQ(FloatToBFloat16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // tie, even below
  EXPECT_EQ(FloatToBFloat16(std::bit_cast<float>(0x3f818000u)), 0x3f82);  // tie, even above
  EXPECT_EQ(FloatToBFloat16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(FloatToBFloat16(std::bit_cast<float>(0x3f817fffu)), 0x3f81);
  EXPECT_EQ(FloatToBFloat16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_TRUE(std::isnan(BFloat16ToFloat(FloatToBFloat16(std::bit_cast<float>(0x7f800001u)))));
}

}  // namespace
}  // namespace nearfar
