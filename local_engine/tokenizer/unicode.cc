// Look-up in the generated ranges: a binary search, with ASCII answered from a small table.

#include "local_engine/tokenizer/unicode.h"

#include <algorithm>
#include <array>

namespace nearfar {
namespace {

using unicode_internal::kRangeCount;
using unicode_internal::kRanges;

CharClass Search(uint32_t code_point) {
  const uint32_t key = code_point << 8 | 0xff;
  const uint32_t* const above = std::upper_bound(kRanges, kRanges + kRangeCount, key);
  return static_cast<CharClass>(above[-1] & 0xff);
}

}  // namespace

CharClass ClassOf(uint32_t code_point) {
  static const std::array<CharClass, 128> kAscii = [] {
    std::array<CharClass, 128> table;
    for (uint32_t c = 0; c < table.size(); ++c) table[c] = Search(c);
    return table;
  }();
  if (code_point < kAscii.size()) return kAscii[code_point];
  return code_point > 0x10ffff ? CharClass::kUnassigned : Search(code_point);
}

bool IsWhitespace(uint32_t c) {
  if (c < 0x80) return c == 0x20 || (c >= 0x09 && c <= 0x0d);
  if (c < 0x2000) return c == 0x85 || c == 0xa0 || c == 0x1680;
  return c <= 0x200a || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

}  // namespace nearfar
