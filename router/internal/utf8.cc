// See utf8.h.

#include "router/internal/utf8.h"

#include <utility>

namespace nearfar::internal {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";

using Kind = CodePoint::Kind;

// Bytes of a sequence by its first byte, and the range of its second; length 0 = no first byte.
struct Lead {
  int length;
  unsigned char low, high;
  char32_t bits;
};

Lead LeadOf(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0, byte};
  if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF, byte & 0x1Fu};
  if (byte == 0xE0) return {3, 0xA0, 0xBF, byte & 0x0Fu};
  if (byte == 0xED) return {3, 0x80, 0x9F, byte & 0x0Fu};
  if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF, byte & 0x0Fu};
  if (byte == 0xF0) return {4, 0x90, 0xBF, byte & 0x07u};
  if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF, byte & 0x07u};
  if (byte == 0xF4) return {4, 0x80, 0x8F, byte & 0x07u};
  return {0, 0, 0, 0};
}

}  // namespace

CodePoint FirstCodePoint(std::string_view text) {
  Lead lead = LeadOf(static_cast<unsigned char>(text[0]));
  if (lead.length == 0) return {Kind::kInvalid, 1, 0};
  char32_t value = lead.bits;
  for (int i = 1; i < lead.length; ++i) {
    if (static_cast<size_t>(i) == text.size()) return {Kind::kIncomplete, text.size(), 0};
    const auto byte = static_cast<unsigned char>(text[i]);
    const unsigned char low = i == 1 ? lead.low : 0x80;
    const unsigned char high = i == 1 ? lead.high : 0xBF;
    if (byte < low || byte > high) return {Kind::kInvalid, static_cast<size_t>(i), 0};
    value = (value << 6) | (byte & 0x3Fu);
  }
  return {Kind::kValid, static_cast<size_t>(lead.length), value};
}

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const CodePoint next = FirstCodePoint(text);
    if (next.kind != Kind::kValid) return false;
    text.remove_prefix(next.length);
  }
  return true;
}

std::string ToValidUtf8(std::string_view text) {
  Utf8Joiner joiner;
  std::string valid = joiner.Add(text);
  return valid + joiner.Finish();
}

std::string Utf8Joiner::Add(std::string_view piece) {
  std::string joined = std::exchange(waiting_, {});
  joined += piece;
  std::string out;
  out.reserve(joined.size());
  std::string_view rest = joined;
  while (!rest.empty()) {
    CodePoint next = FirstCodePoint(rest);
    if (next.kind == Kind::kIncomplete) {
      waiting_ = std::string(rest);
      break;
    }
    out += next.kind == Kind::kValid ? rest.substr(0, next.length) : kReplacement;
    rest.remove_prefix(next.length);
  }
  return out;
}

std::string Utf8Joiner::Finish() {
  return std::exchange(waiting_, {}).empty() ? std::string() : std::string(kReplacement);
}

}  // namespace nearfar::internal
