// E-mail addresses: found by their at sign, read to its left and right.
#include <algorithm>
#include <string_view>

#include "policies/detectors/ascii.h"
#include "policies/detectors/scanners.h"

namespace nearfar::detectors {
namespace {

bool IsLocalPart(unsigned char c) { return IsAlnum(c) || c >= 0x80 || OneOf(c, "._%+-'"); }

bool IsFileEnding(std::string_view lower) {
  constexpr std::string_view kEndings[] = {"png", "jpg", "jpeg", "gif", "svg",  "webp",
                                           "js",  "css", "ts",   "mjs", "html", "json"};
  return IsAmong(lower, kEndings);
}

// Bytes of the domain that starts at i: labels of letters, digits and hyphens, the last one
// letters; 0 = none.
size_t DomainLength(std::string_view text, size_t i) {
  size_t labels = 0, label_start = i, last_start = i, last_end = i;
  const size_t limit = std::min(text.size(), i + 255);
  size_t at = i;
  for (; at <= limit; ++at) {
    const unsigned char c = at < limit ? At(text, at) : 0;
    if (IsAlnum(c) || c == '-' || c >= 0x80) continue;
    if (at == label_start || text[label_start] == '-') break;  // an empty or broken label ends it
    ++labels;
    last_start = label_start, last_end = at;
    if (c != '.') break;
    label_start = at + 1;
  }
  if (labels < 2) return 0;
  const std::string_view last = text.substr(last_start, last_end - last_start);
  if (last.size() < 2 || last.back() == '-') return 0;
  const bool letters = std::all_of(last.begin(), last.end(),
                                   [](unsigned char c) { return IsAlpha(c) || c >= 0x80; });
  if (!letters && !StartsWith(last, "xn--")) return 0;
  return IsFileEnding(LowerAscii(last)) ? 0 : last_end - i;
}

// i stands in the authority of a URL: "://" is before it in its word, and no path, query or
// fragment has begun since.
bool IsInAuthority(std::string_view text, size_t i) {
  size_t start = i;
  while (start > 0 && i - start < 128 && static_cast<unsigned char>(text[start - 1]) > ' ') --start;
  const std::string_view before = text.substr(start, i - start);
  const size_t scheme = before.rfind("://");
  return scheme != std::string_view::npos &&
         before.find_first_of("/?#", scheme + 3) == std::string_view::npos;
}

// git@host:path, git@host/path or scheme://git@host: the user whom every repository is read as.
// The address stands from `start` to `end`, its at sign at `at`.
bool IsRepository(std::string_view text, size_t start, size_t at, size_t end) {
  if (text.substr(start, at - start) != "git") return false;
  if (EndsWith(text.substr(0, start), "://")) return true;
  const unsigned char path = At(text, end + 1);
  return OneOf(At(text, end), ":/") && (IsAlnum(path) || OneOf(path, "/~._-"));
}

}  // namespace

bool HasEmail(std::string_view text) {
  for (size_t at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1)) {
    size_t start = at;
    while (start > 0 && at - start < 64 && IsLocalPart(text[start - 1])) --start;
    while (start < at && OneOf(text[start], ".'")) ++start;
    if (start == at || text[at - 1] == '.') continue;
    const size_t domain = DomainLength(text, at + 1);
    if (domain == 0) continue;
    if (IsRepository(text, start, at, at + 1 + domain)) continue;
    // user:key@host in a URL is a secret, found elsewhere.
    if (Before(text, start) == ':' && IsInAuthority(text, start)) continue;
    return true;
  }
  return false;
}

}  // namespace nearfar::detectors
