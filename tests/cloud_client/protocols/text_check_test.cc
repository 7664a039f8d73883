// UTF-8 by RFC 3629: every code point passes, every wrong form fails.

#include "cloud_client/protocols/text_check.h"

#include <cstdint>
#include <string>

#include "gtest/gtest.h"

namespace nearfar {
namespace {

std::string Encode(uint32_t point) {
  std::string out;
  if (point < 0x80) return std::string(1, static_cast<char>(point));
  if (point < 0x800) {
    out += static_cast<char>(0xC0 | point >> 6);
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (point >> 6 & 0x3F));
  }
  return out += static_cast<char>(0x80 | (point & 0x3F));
}

TEST(TextCheckTest, EveryCodePointButTheSurrogates) {
  for (uint32_t point = 0; point < 0x110000; ++point) {
    const bool surrogate = point >= 0xD800 && point < 0xE000;
    ASSERT_EQ(IsValidUtf8(Encode(point)), !surrogate) << point;
  }
  EXPECT_FALSE(IsValidUtf8(Encode(0x110000)));
}

TEST(TextCheckTest, CutOverlongAndStrayBytes) {
  const std::string euro = "a\xE2\x82\xAC";
  EXPECT_TRUE(IsValidUtf8(euro));
  EXPECT_FALSE(IsValidUtf8(euro.substr(0, 2)));
  EXPECT_FALSE(IsValidUtf8(euro.substr(0, 3)));
  EXPECT_FALSE(IsValidUtf8("\x80"));
  EXPECT_FALSE(IsValidUtf8("\xC0\xAF"));
  EXPECT_FALSE(IsValidUtf8("\xE0\x80\xAF"));
  EXPECT_FALSE(IsValidUtf8("\xF0\x80\x80\xAF"));
  EXPECT_FALSE(IsValidUtf8("\xFF"));
  EXPECT_FALSE(IsValidUtf8("\xE2\x28\xA1"));
  EXPECT_TRUE(IsValidUtf8(""));
  EXPECT_TRUE(IsValidUtf8(std::string("a\0b", 3)));
}

TEST(TextCheckTest, CleaningKeepsWholeCodePointsAndNoControls) {
  EXPECT_EQ(CleanText("a\xC3\xA9z", 100), "a\xC3\xA9z");
  EXPECT_EQ(CleanText("a\xC3\xA9z", 3), "a\xC3\xA9");
  EXPECT_EQ(CleanText("a\xC3\xA9z", 2), "a");
  EXPECT_EQ(CleanText("\xFF\xC3", 100), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(CleanText("\xFF", 2), "");
  EXPECT_EQ(CleanText("a\x1B[0m\nb\x7F\xC2\x9Bm", 100), "a [0m b  m") << "C1 controls, too";
  EXPECT_EQ(CleanText("", 100), "");
}

}  // namespace
}  // namespace nearfar
