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

}  // namespace

bool IsValidUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Lead lead = ReadLead(static_cast<uint8_t>(text[i]));
    if (lead.following < 0 || text.size() - i <= static_cast<size_t>(lead.following)) return false;
    uint32_t point = lead.bits;
    for (int k = 1; k <= lead.following; ++k) {
      const uint8_t byte = static_cast<uint8_t>(text[i + k]);
      if ((byte & 0xC0) != 0x80) return false;
      point = point << 6 | (byte & 0x3F);
    }
    if (point < lead.smallest || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
      return false;
    i += 1 + lead.following;
  }
  return true;
}

}  // namespace nearfar
