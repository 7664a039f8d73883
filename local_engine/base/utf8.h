// Reading UTF-8 one code point at a time, without trusting it.
//
// Ill-formed bytes are reported as "maximal subparts" (Unicode 15, section 3.9, U+FFFD
// substitution): the longest start of a code point that could have become valid, and at least one
// byte. Held by tests/local_engine/base/utf8_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_UTF8_H_
#define NEARFAR_LOCAL_ENGINE_BASE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nearfar {

enum class Utf8Kind {
  kValid,       // `code_point` holds it
  kInvalid,     // these `length` bytes can never be part of a code point
  kIncomplete,  // the text ended inside a code point that has been well-formed so far
};

struct Utf8Step {
  Utf8Kind kind = Utf8Kind::kInvalid;
  uint32_t code_point = 0;
  size_t length = 0;  // bytes taken, at least 1
};

// The first code point of `text`, which must not be empty.
inline Utf8Step DecodeUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {Utf8Kind::kValid, lead, 1};
  if (lead < 0xc2 || lead > 0xf4) return {Utf8Kind::kInvalid, 0, 1};
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The second byte's range is narrower where it would give an overlong form, a surrogate or a
  // value above U+10FFFF.
  uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  uint32_t code_point = lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {Utf8Kind::kIncomplete, 0, i};
    if (byte(i) < low || byte(i) > high) return {Utf8Kind::kInvalid, 0, i};
    code_point = code_point << 6 | (byte(i) & 0x3f);
    low = 0x80;
    high = 0xbf;
  }
  return {Utf8Kind::kValid, code_point, length};
}

inline bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Step step = DecodeUtf8(text);
    if (step.kind != Utf8Kind::kValid) return false;
    text.remove_prefix(step.length);
  }
  return true;
}

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_UTF8_H_
