// Code points of UTF-8 text and the few facts about them that features and detectors need: case,
// script, word characters. Small tables of our own, since the policies link no Unicode library;
// what the tables do not know counts as a letter without case. Held by
// tests/policies/text/code_points_test.cc.

#ifndef NEARFAR_POLICIES_TEXT_CODE_POINTS_H_
#define NEARFAR_POLICIES_TEXT_CODE_POINTS_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace nearfar {

// The code point that starts at text[*pos], which must be < text.size(); moves *pos behind it. A
// byte that starts no valid sequence yields U+FFFD and one step.
char32_t NextCodePoint(std::string_view text, size_t* pos);

void AppendUtf8(char32_t code, std::string* out);

// Simple lower case of ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic; others unchanged.
char32_t LowerCodePoint(char32_t code);

// Letters, digits and underscore; everything outside ASCII but known spaces and punctuation.
bool IsWordCodePoint(char32_t code);

bool IsSpaceCodePoint(char32_t code);

enum class Script {
  kNone,  // digits, punctuation, symbols, unknown
  kLatin,
  kGreek,
  kCyrillic,
  kHebrew,
  kArabic,
  kDevanagari,
  kThai,
  kHan,
  kKana,
  kHangul,
};
Script ScriptOf(char32_t code);

// True of scripts that put no spaces between words, so that a word may end anywhere.
bool IsUnspacedScript(Script script);

// Lower case, runs of white space as one space. Linear.
std::string FoldText(std::string_view text);

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_TEXT_CODE_POINTS_H_
