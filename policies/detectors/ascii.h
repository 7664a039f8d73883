// Bytes and words as the detectors see them: ASCII by its classes, all else as bytes of letters.

#ifndef NEARFAR_POLICIES_DETECTORS_ASCII_H_
#define NEARFAR_POLICIES_DETECTORS_ASCII_H_

#include <cstddef>
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

// The byte at i, 0 beyond the ends.
inline unsigned char At(std::string_view text, size_t i) { return i < text.size() ? text[i] : 0; }
inline unsigned char Before(std::string_view text, size_t i) { return i > 0 ? text[i - 1] : 0; }

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
