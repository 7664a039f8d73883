// Holds local_engine/tokenizer/unicode.h. The table as a whole was compared with llama.cpp's for
// all 1,114,112 code points; here stand its version's landmarks, its shape and a count of each
// class.

#include "local_engine/tokenizer/unicode.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace nearfar {
namespace {

TEST(UnicodeTest, RangesAscendAndBeginAtZero) {
  using unicode_internal::kRangeCount;
  using unicode_internal::kRanges;
  ASSERT_GT(kRangeCount, 1000u);
  EXPECT_EQ(kRanges[0] >> 8, 0u);
  for (size_t i = 1; i < kRangeCount; ++i) {
    EXPECT_LT(kRanges[i - 1] >> 8, kRanges[i] >> 8) << i;
    EXPECT_NE(kRanges[i - 1] & 0xff, kRanges[i] & 0xff) << i;
  }
}

TEST(UnicodeTest, ClassesOfKnownCharacters) {
  const struct {
    uint32_t code_point;
    CharClass char_class;
  } kCases[] = {
      {'a', CharClass::kLetter},          {'Z', CharClass::kLetter},
      {'0', CharClass::kNumber},          {'!', CharClass::kPunctuation},
      {'$', CharClass::kSymbol},          {'`', CharClass::kSymbol},
      {'_', CharClass::kPunctuation},     {' ', CharClass::kSeparator},
      {'\n', CharClass::kOther},          {0x7f, CharClass::kOther},
      {0xaa, CharClass::kLetter},         {0xb2, CharClass::kNumber},
      {0x2167, CharClass::kNumber},       {0x301, CharClass::kMark},
      {0x4e00, CharClass::kLetter},       {0x9fff, CharClass::kLetter},
      {0xac00, CharClass::kLetter},       {0xd7a3, CharClass::kLetter},
      {0xd7a4, CharClass::kUnassigned},   {0xd800, CharClass::kOther},
      {0xe000, CharClass::kOther},        {0xfffd, CharClass::kSymbol},
      {0x1f600, CharClass::kSymbol},      {0x200d, CharClass::kOther},
      {0x10ffff, CharClass::kUnassigned}, {0x10fffd, CharClass::kOther},
      {0x110000, CharClass::kUnassigned}, {0xffffffff, CharClass::kUnassigned},
  };
  for (const auto& c : kCases) EXPECT_EQ(ClassOf(c.code_point), c.char_class) << c.code_point;
}

TEST(UnicodeTest, IsOfVersion15_1) {
  // New in 15.1, and two that came with 16.0.
  EXPECT_EQ(ClassOf(0x2ffc), CharClass::kSymbol);
  EXPECT_EQ(ClassOf(0x2ebf0), CharClass::kLetter);
  EXPECT_EQ(ClassOf(0x1c89), CharClass::kUnassigned);
  EXPECT_EQ(ClassOf(0x10d40), CharClass::kUnassigned);
}

// From the statistics of the Unicode Character Database 15.1.
TEST(UnicodeTest, CountsOfEachClass) {
  std::array<int, 8> counts{};
  for (uint32_t c = 0; c < 0x110000; ++c) ++counts[static_cast<int>(ClassOf(c))];
  EXPECT_EQ(counts, (std::array<int, 8>{824718, 136726, 2450, 1831, 842, 7775, 19, 139751}));
}

TEST(UnicodeTest, WhitespaceIsThePropertyAndNotTheCategory) {
  std::vector<uint32_t> found;
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (IsWhitespace(c)) found.push_back(c);
  }
  EXPECT_EQ(found, (std::vector<uint32_t>{0x09,   0x0a,   0x0b,   0x0c,   0x0d,   0x20,   0x85,
                                          0xa0,   0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004,
                                          0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028,
                                          0x2029, 0x202f, 0x205f, 0x3000}));
}

}  // namespace
}  // namespace nearfar
