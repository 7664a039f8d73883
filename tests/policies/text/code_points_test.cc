#include "policies/text/code_points.h"

#include <gtest/gtest.h>

#include <string>

namespace nearfar {
namespace {

TEST(CodePoints, ReadsWhatItWrites) {
  for (char32_t code : {U'a', U'\u00e9', U'\u20ac', U'\U0001F600', U'\U0010FFFF'}) {
    std::string text;
    AppendUtf8(code, &text);
    size_t pos = 0;
    EXPECT_EQ(NextCodePoint(text, &pos), code);
    EXPECT_EQ(pos, text.size());
  }
}

TEST(CodePoints, BadBytesAreOneReplacementEach) {
  // Stray continuation, overlong lead, surrogate, beyond the last code point, cut sequence.
  for (std::string bad : {"\x80", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"}) {
    size_t pos = 0;
    int count = 0;
    while (pos < bad.size()) {
      EXPECT_EQ(NextCodePoint(bad, &pos), 0xFFFDu) << testing::PrintToString(bad);
      ++count;
    }
    EXPECT_EQ(count, static_cast<int>(bad.size()));
  }
}

TEST(CodePoints, LowerCaseBeyondAscii) {
  EXPECT_EQ(FoldText("STRASSE ÄÖÜ ÉÀ"), "strasse äöü éà");
  EXPECT_EQ(FoldText("ПАРОЛЬ Ёж"), "пароль ёж");
  EXPECT_EQ(FoldText("ΚΩΔΙΚΌΣ"), FoldText("κωδικός"));
  EXPECT_EQ(FoldText("ŁÓDŹ ŠKODA Ž"), "łódź škoda ž");
  EXPECT_EQ(FoldText("×÷"), "×÷");
}

TEST(CodePoints, FoldJoinsWhiteSpace) { EXPECT_EQ(FoldText("a \t\n b\u00a0c\u3000"), "a b c "); }

TEST(CodePoints, Words) {
  EXPECT_TRUE(IsWordCodePoint(U'é'));
  EXPECT_TRUE(IsWordCodePoint(U'中'));
  EXPECT_FALSE(IsWordCodePoint(U'—'));
  EXPECT_FALSE(IsWordCodePoint(U'。'));
  EXPECT_FALSE(IsWordCodePoint(U'\U0001F600'));
}

TEST(CodePoints, Scripts) {
  EXPECT_EQ(ScriptOf(U'a'), Script::kLatin);
  EXPECT_EQ(ScriptOf(U'ж'), Script::kCyrillic);
  EXPECT_EQ(ScriptOf(U'中'), Script::kHan);
  EXPECT_EQ(ScriptOf(U'か'), Script::kKana);
  EXPECT_EQ(ScriptOf(U'한'), Script::kHangul);
  EXPECT_EQ(ScriptOf(U'7'), Script::kNone);
}

}  // namespace
}  // namespace nearfar
