#include "policies/text/scan_text.h"

#include <gtest/gtest.h>

#include <string>

#include "policies/text/code_points.h"

namespace nearfar {
namespace {

TEST(ScanText, LeavesPlainTextAlone) {
  for (const char* text :
       {"", "Call +49 30 901820, ext. 7!\n\tA_b", "straße 中文 한국 ñ", "a \xff b\xc3"}) {
    EXPECT_EQ(NormalizeForScan(text), text);
  }
}

TEST(ScanText, DropsWhatDrawsNothing) {
  for (const char* nothing :
       {"\u00ad", "\u034f", "\u061c", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a",
        "\u2060", "\u2069", "\ufe00", "\ufe0f", "\ufeff", "\U000E0041"}) {
    EXPECT_EQ(NormalizeForScan(std::string("a") + nothing + "b"), "ab");
  }
}

TEST(ScanText, SpacesDashesAndWidths) {
  EXPECT_EQ(NormalizeForScan("a\u00a0b\u1680c\u2000d\u2009e\u202ff\u205fg\u3000h"),
            "a b c d e f g h");
  EXPECT_EQ(NormalizeForScan("a\u2028b\u2029c\u0085d"), "a\nb\nc\nd");
  EXPECT_EQ(NormalizeForScan("a\u2010b\u2011c\u2012d\u2013e\u2212f"), "a-b-c-d-e-f");
  EXPECT_EQ(NormalizeForScan("1\u20142\u2014now"), "1-2\u2014now");
  EXPECT_EQ(NormalizeForScan("！Ａｚ０９～＠．"), "!Az09~@.");
  EXPECT_EQ(NormalizeForScan("٠٩ ۰۹ ०९"), "09 09 09");
}

TEST(ScanText, ComposesLettersAndMarks) {
  EXPECT_EQ(NormalizeForScan("n\u0303 N\u0303 c\u0327 A\u030a z\u030c"), "ñ ñ ç å ž");
  EXPECT_EQ(NormalizeForScan("\u03b9\u0308\u0301 \u0438\u0306 \u0415\u0308"), "ΐ й ё");
  EXPECT_EQ(NormalizeForScan("\u30cf\u309a\u30b9\u30ef\u30fc\u30c8\u3099"), "パスワード");
  EXPECT_EQ(NormalizeForScan("\u110c\u1165\u11ab\u1112\u116a"), "전화");
  EXPECT_EQ(NormalizeForScan("n\u200b\u0303"), "ñ");
  EXPECT_EQ(NormalizeForScan("\u0303x\u0303"), "\u0303x\u0303");  // nothing to join to
}

TEST(ScanText, LowersLettersBeyondAscii) {
  EXPECT_EQ(NormalizeForScan("CONTRASEÑA ПАРОЛЬ"), "CONTRASEñA пароль");
}

TEST(ScanText, NeverGrows) {
  uint32_t state = 1;
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (int i = 0; i < 6; ++i) {
      state = state * 1664525u + 1013904223u;
      // Latin with its marks, kana, hangul, general punctuation, full-width forms, any byte.
      constexpr char32_t kFrom[] = {0x20, 0x300, 0x3040, 0x1100, 0x2000, 0xFE00, 0xFF00, 0x80};
      const char32_t code = kFrom[(state >> 28) % 8] + ((state >> 16) & 0xFF);
      if ((state >> 28) % 8 == 7) {
        text.push_back(static_cast<char>(code));
      } else {
        AppendUtf8(code, &text);
      }
    }
    ASSERT_LE(NormalizeForScan(text).size(), text.size()) << testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace nearfar
