// IP addresses of both versions, but those that name nobody.
#include <array>
#include <string>
#include <string_view>

#include "policies/detectors/ascii.h"
#include "policies/detectors/digit_run.h"
#include "policies/detectors/scanners.h"

namespace nearfar::detectors {
namespace {

// Where what stands before i ends, but for the blanks and signs between a word and its value.
size_t SkipSigns(std::string_view text, size_t i) {
  size_t end = i;
  while (end > 0 && i - end < 4 && OneOf(text[end - 1], " :=.\"'(")) --end;
  return end;
}

// "version", "firmware", and names that end so ("AssemblyVersion").
bool IsVersionWord(std::string_view word) {
  return EndsWith(word, "firmware") || (EndsWith(word, "version") && word != "conversion");
}

// The word right before begin says that a version or a section is counted; between a version and
// its number one word may stand ("version is", "firmware to"). Other words further off say nothing
// of the number: "build host 10.1.2.3", "release to 203.0.113.9".
bool FollowsVersionWord(std::string_view lower, size_t begin) {
  constexpr std::string_view kCounted[] = {"versions", "release", "section", "chapter",
                                           "build",    "rev",     "v",       "clause"};
  constexpr std::string_view kBetween[] = {"is", "to", "number"};
  const size_t end = SkipSigns(lower, begin);
  if (end == begin) return false;
  const std::string_view word = WordBefore(lower, end);
  if (IsAmong(word, kBetween)) {
    return IsVersionWord(WordBefore(lower, SkipSigns(lower, end - word.size())));
  }
  return IsVersionWord(word) || IsAmong(word, kCounted);
}

// Loopback, unspecified and netmasks name nobody.
bool IsNobody(const std::array<int, 4>& octets) {
  return octets[0] == 127 || octets[0] == 255 ||
         (octets[0] == 0 && octets[1] == 0 && octets[2] == 0 && octets[3] == 0);
}

// A whole token of hex digits and colons (RFC 4291): eight groups, or fewer around one "::".
bool IsIpv6Token(std::string_view token) {
  const size_t gap = token.find("::");
  if (gap != std::string_view::npos && token.find("::", gap + 1) != std::string_view::npos) {
    return false;
  }
  int groups = 0, digits_in_group = 0, hex = 0, digits = 0;
  for (size_t i = 0; i <= token.size(); ++i) {
    const unsigned char c = At(token, i);
    if (IsHex(c)) {
      ++digits_in_group, ++hex;
      if (IsDigit(c)) ++digits;
      if (digits_in_group > 4) return false;
      continue;
    }
    if (digits_in_group > 0) ++groups;
    digits_in_group = 0;
  }
  if (gap == std::string_view::npos) return groups == 8 && IsHex(token[0]) && IsHex(token.back());
  // "a::b" and "std::" are scopes in programs: an address has digits and some length.
  return groups >= 2 && groups <= 7 && digits >= 1 && hex >= 5;
}

}  // namespace

bool IsIpv4(std::string_view text, std::string_view lower, const DigitRun& run, size_t first) {
  if (first + 4 > run.groups.size()) return false;
  std::array<int, 4> octets;
  for (size_t g = 0; g < 4; ++g) {
    const DigitRun::Group& group = run.groups[first + g];
    const std::string_view digits = group.Of(text);
    if (g < 3 && group.separator != ".") return false;
    if (digits.size() > 3 || (digits.size() > 1 && digits[0] == '0')) return false;
    octets[g] = std::stoi(std::string(digits));
    if (octets[g] > 255) return false;
  }
  const size_t begin = run.groups[first].begin, end = run.groups[first + 3].end;
  const unsigned char before = Before(text, begin);
  if (IsAlnum(before) || before == '.' || before == '-' || before == '_') return false;
  if (IsAlpha(At(text, end)) || At(text, end) == '_') return false;
  if (At(text, end) == '.' && IsAlnum(At(text, end + 1))) return false;
  if (At(text, end) == '-' && IsAlpha(At(text, end + 1))) return false;  // 1.2.3.4-beta
  return !IsNobody(octets) && !FollowsVersionWord(lower, begin);
}

bool HasIpv6(std::string_view text) {
  for (size_t at = text.find(':'); at != std::string_view::npos;) {
    size_t start = at, end = at;
    while (start > 0 && at - start < 40 && (IsHex(text[start - 1]) || text[start - 1] == ':'))
      --start;
    while (end < text.size() && end - at < 40 && (IsHex(text[end]) || text[end] == ':')) ++end;
    std::string_view token = text.substr(start, end - start);
    const bool gap_last = token.size() >= 2 && token.substr(token.size() - 2) == "::";
    if (!token.empty() && token.back() == ':' && !gap_last) {
      token.remove_suffix(1);  // the colon of a sentence
    }
    const unsigned char before = Before(text, start);
    const bool whole = !IsAlnum(before) && before != '_' && !IsAlnum(At(text, end)) &&
                       At(text, end) != '_' && At(text, end) != '(';
    if (whole && token.size() >= 6 && IsIpv6Token(token)) return true;
    at = text.find(':', end);
  }
  return false;
}

}  // namespace nearfar::detectors
