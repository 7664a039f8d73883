#include "cloud_client/protocols/text_check.h"

#include <cstddef>
#include <cstdint>

namespace nearfar {
namespace {

// Bytes that follow a lead byte, and the smallest code point that may be written so; 0 = no lead.
struct Lead {
  int following;
  uint32_t smallest;
  uint32_t bits;
};

Lead ReadLead(uint8_t byte) {
  if (byte < 0x80) return {0, 0, byte};
  if (byte >= 0xC2 && byte < 0xE0) return {1, 0x80, byte & 0x1Fu};
  if (byte >= 0xE0 && byte < 0xF0) return {2, 0x800, byte & 0x0Fu};
  if (byte >= 0xF0 && byte < 0xF5) return {3, 0x10000, byte & 0x07u};
  return {-1, 0, 0};
}

// The code point at the front of a text that is not empty; of 0 bytes where none is.
struct CodePoint {
  size_t bytes;
  uint32_t value;
};

CodePoint ReadCodePoint(std::string_view text) {
  const Lead lead = ReadLead(static_cast<uint8_t>(text[0]));
  if (lead.following < 0 || text.size() <= static_cast<size_t>(lead.following)) return {0, 0};
  uint32_t point = lead.bits;
  for (int k = 1; k <= lead.following; ++k) {
    const uint8_t byte = static_cast<uint8_t>(text[k]);
    if ((byte & 0xC0) != 0x80) return {0, 0};
    point = point << 6 | (byte & 0x3F);
  }
  if (point < lead.smallest || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) {
    return {0, 0};
  }
  return {static_cast<size_t>(1 + lead.following), point};
}

bool IsControl(uint32_t point) { return point < 0x20 || (point >= 0x7F && point < 0xA0); }

}  // namespace

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const CodePoint point = ReadCodePoint(text);
    if (point.bytes == 0) return false;
    text.remove_prefix(point.bytes);
  }
  return true;
}

std::string CleanText(std::string_view text, size_t most_bytes) {
  std::string clean;
  while (!text.empty()) {
    const CodePoint point = ReadCodePoint(text);
    std::string_view next = text.substr(0, point.bytes);
    if (point.bytes == 0) next = "\xEF\xBF\xBD";
    if (point.bytes > 0 && IsControl(point.value)) next = " ";
    if (clean.size() + next.size() > most_bytes) break;
    clean += next;
    text.remove_prefix(point.bytes == 0 ? 1 : point.bytes);
  }
  return clean;
}

}  // namespace nearfar
