// See json_out.h.

#include "router/cli/json_out.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace nearfar::cli {
namespace {

// Length of the UTF-8 character at `at`, or 0 where none begins there (RFC 3629: no overlong form,
// no surrogate, nothing above U+10FFFF).
size_t CharacterAt(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  const bool bad = (lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
                   (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F);
  return bad ? 0 : length;
}

void AppendEscaped(char c, std::string* out) {
  switch (c) {
    case '"':
      absl::StrAppend(out, "\\\"");
      return;
    case '\\':
      absl::StrAppend(out, "\\\\");
      return;
    case '\n':
      absl::StrAppend(out, "\\n");
      return;
    case '\t':
      absl::StrAppend(out, "\\t");
      return;
    case '\r':
      absl::StrAppend(out, "\\r");
      return;
    default:
      absl::StrAppendFormat(out, "\\u%04x", static_cast<unsigned char>(c));
  }
}

bool NeedsEscape(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7F || c == '"' || c == '\\';
}

}  // namespace

std::string JsonQuoted(std::string_view text) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const size_t length = CharacterAt(text, at);
    if (length == 0) {
      absl::StrAppend(&out, "\xEF\xBF\xBD");
      ++at;
      continue;
    }
    if (length == 1 && NeedsEscape(text[at])) {
      AppendEscaped(text[at], &out);
    } else {
      out.append(text.substr(at, length));
    }
    at += length;
  }
  out.push_back('"');
  return out;
}

void JsonOut::Separate() {
  if (!fresh_) text_.push_back(',');
  fresh_ = false;
}

JsonOut& JsonOut::Key(std::string_view key) {
  Separate();
  absl::StrAppend(&text_, JsonQuoted(key), ":");
  fresh_ = true;
  return *this;
}

JsonOut& JsonOut::Raw(std::string_view json) {
  Separate();
  absl::StrAppend(&text_, json);
  return *this;
}

JsonOut& JsonOut::String(std::string_view value) { return Raw(JsonQuoted(value)); }
JsonOut& JsonOut::Int(int64_t value) { return Raw(absl::StrCat(value)); }
JsonOut& JsonOut::Bool(bool value) { return Raw(value ? "true" : "false"); }
JsonOut& JsonOut::Null() { return Raw("null"); }

JsonOut& JsonOut::Number(double value) {
  return std::isfinite(value) ? Raw(absl::StrFormat("%.9g", value)) : Null();
}

}  // namespace nearfar::cli
