// Well-formedness by table 3-7 of the Unicode standard. Held by
// tests/local_engine/gguf/utf8_test.cc.

#include "local_engine/gguf/utf8.h"

#include <cstddef>
#include <cstdint>

namespace nearfar {
namespace {

// What may follow a first byte: how many bytes, and the range of the first of them.
struct Tail {
  int length;
  uint8_t low;
  uint8_t high;
};

// length -1: not a first byte.
Tail TailOf(uint8_t first) {
  if (first < 0x80) return {0, 0, 0};
  if (first < 0xc2) return {-1, 0, 0};
  if (first < 0xe0) return {1, 0x80, 0xbf};
  if (first == 0xe0) return {2, 0xa0, 0xbf};
  if (first == 0xed) return {2, 0x80, 0x9f};
  if (first < 0xf0) return {2, 0x80, 0xbf};
  if (first == 0xf0) return {3, 0x90, 0xbf};
  if (first < 0xf4) return {3, 0x80, 0xbf};
  if (first == 0xf4) return {3, 0x80, 0x8f};
  return {-1, 0, 0};
}

}  // namespace

bool IsUtf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const Tail tail = TailOf(static_cast<uint8_t>(text[i]));
    if (tail.length < 0 || text.size() - i <= static_cast<size_t>(tail.length)) return false;
    for (int k = 1; k <= tail.length; ++k) {
      const uint8_t byte = static_cast<uint8_t>(text[i + static_cast<size_t>(k)]);
      const uint8_t low = k == 1 ? tail.low : 0x80;
      const uint8_t high = k == 1 ? tail.high : 0xbf;
      if (byte < low || byte > high) return false;
    }
    i += 1 + static_cast<size_t>(tail.length);
  }
  return true;
}

}  // namespace nearfar
