// Bytes and words as the detectors see them: ASCII by its classes, all else as bytes of letters.

#ifndef NEARFAR_POLICIES_DETECTORS_ASCII_H_
#define NEARFAR_POLICIES_DETECTORS_ASCII_H_

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

namespace nearfar::detectors {

inline bool IsDigit(unsigned char c) { return c >= '0' && c <= '9'; }
inline bool IsUpper(unsigned char c) { return c >= 'A' && c <= 'Z'; }
inline bool IsLower(unsigned char c) { return c >= 'a' && c <= 'z'; }
inline bool IsAlpha(unsigned char c) { return IsUpper(c) || IsLower(c); }
inline bool IsAlnum(unsigned char c) { return IsAlpha(c) || IsDigit(c); }
inline bool IsHex(unsigned char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
inline char Lower(char c) { return IsUpper(c) ? static_cast<char>(c + 32) : c; }

// c is one of the bytes of `set`; never true of 0.
inline bool OneOf(unsigned char c, std::string_view set) {
  return set.find(static_cast<char>(c)) != std::string_view::npos;
}

inline std::string LowerAscii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = Lower(c);
  return lower;
}

inline bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

inline bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

// The byte at i, 0 beyond the ends.
inline unsigned char At(std::string_view text, size_t i) { return i < text.size() ? text[i] : 0; }
inline unsigned char Before(std::string_view text, size_t i) { return i > 0 ? text[i - 1] : 0; }

template <size_t n>
bool IsAmong(std::string_view word, const std::string_view (&words)[n]) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

// The letters that end right before `end`; of a long word its end.
inline std::string_view WordBefore(std::string_view text, size_t end) {
  constexpr size_t kMostBytes = 24;
  size_t start = end;
  while (start > 0 && end - start < kMostBytes &&
         (IsAlpha(text[start - 1]) || static_cast<unsigned char>(text[start - 1]) >= 0x80)) {
    --start;
  }
  return text.substr(start, end - start);
}

// The last byte before i that is no blank, 0 if there is none within reach.
inline unsigned char SolidBefore(std::string_view text, size_t i) {
  for (int steps = 0; i > 0 && steps < 4; ++steps, --i) {
    if (text[i - 1] != ' ') return text[i - 1];
  }
  return 0;
}
inline unsigned char SolidAfter(std::string_view text, size_t i) {
  for (int steps = 0; i < text.size() && steps < 4; ++steps, ++i) {
    if (text[i] != ' ') return text[i];
  }
  return 0;
}

}  // namespace nearfar::detectors

#endif  // NEARFAR_POLICIES_DETECTORS_ASCII_H_
