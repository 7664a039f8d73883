// Each kind has its own small scanner over the text in its plain spelling (policies/text/
// scan_text.h); none looks further than a bounded number of bytes from where it stands, so the
// whole is linear. Figures on labelled strings: docs/privacy.md.
#include "policies/detectors/pii.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "policies/text/scan_text.h"

namespace nearfar {
namespace {

bool IsDigit(unsigned char c) { return c >= '0' && c <= '9'; }
bool IsUpper(unsigned char c) { return c >= 'A' && c <= 'Z'; }
bool IsLower(unsigned char c) { return c >= 'a' && c <= 'z'; }
bool IsAlpha(unsigned char c) { return IsUpper(c) || IsLower(c); }
bool IsAlnum(unsigned char c) { return IsAlpha(c) || IsDigit(c); }
bool IsHex(unsigned char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
char Lower(char c) { return IsUpper(c) ? static_cast<char>(c + 32) : c; }

// c is one of the bytes of `set`; never true of 0.
bool OneOf(unsigned char c, std::string_view set) {
  return set.find(static_cast<char>(c)) != std::string_view::npos;
}

std::string LowerAscii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = Lower(c);
  return lower;
}

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// The byte at i, 0 beyond the ends.
unsigned char At(std::string_view text, size_t i) { return i < text.size() ? text[i] : 0; }
unsigned char Before(std::string_view text, size_t i) { return i > 0 ? text[i - 1] : 0; }

// The last byte before i that is no blank, 0 if there is none within reach.
unsigned char SolidBefore(std::string_view text, size_t i) {
  for (int steps = 0; i > 0 && steps < 4; ++steps, --i) {
    if (text[i - 1] != ' ') return text[i - 1];
  }
  return 0;
}
unsigned char SolidAfter(std::string_view text, size_t i) {
  for (int steps = 0; i < text.size() && steps < 4; ++steps, ++i) {
    if (text[i] != ' ') return text[i];
  }
  return 0;
}

// --- e-mail --------------------------------------------------------------------------------------

bool IsLocalPart(unsigned char c) { return IsAlnum(c) || c >= 0x80 || OneOf(c, "._%+-'"); }

bool IsFileEnding(std::string_view lower) {
  constexpr std::string_view kEndings[] = {"png", "jpg", "jpeg", "gif", "svg",  "webp",
                                           "js",  "css", "ts",   "mjs", "html", "json"};
  return std::find(std::begin(kEndings), std::end(kEndings), lower) != std::end(kEndings);
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

// git@host:path, where the domain ends at `end`.
bool IsRepository(std::string_view text, std::string_view local, size_t end) {
  const unsigned char path = At(text, end + 1);
  return local == "git" && At(text, end) == ':' && (IsAlnum(path) || OneOf(path, "/~._-"));
}

bool HasEmail(std::string_view text) {
  for (size_t at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1)) {
    size_t start = at;
    while (start > 0 && at - start < 64 && IsLocalPart(text[start - 1])) --start;
    while (start < at && OneOf(text[start], ".'")) ++start;
    if (start == at || text[at - 1] == '.') continue;
    const size_t domain = DomainLength(text, at + 1);
    if (domain == 0) continue;
    if (IsRepository(text, text.substr(start, at - start), at + 1 + domain)) continue;
    // user:key@host in a URL is a secret, found elsewhere.
    if (Before(text, start) == ':' && IsInAuthority(text, start)) continue;
    return true;
  }
  return false;
}

// --- runs of digits ------------------------------------------------------------------------------

// Groups of digits with at most three separating bytes between them.
struct DigitRun {
  struct Group {
    size_t begin, end;
    std::string separator;  // after it, up to the next group
    std::string_view Of(std::string_view text) const { return text.substr(begin, end - begin); }
  };
  std::vector<Group> groups;
  bool cut = false;  // a bound ended it: more digits follow
};

bool IsSeparator(unsigned char c) { return c == ' ' || OneOf(c, "-./()"); }

// The run whose first digit stands at i. It ends with the 12th group or with the one that holds the
// 24th digit: longer than any number that is looked for, whichever group that begins with.
DigitRun ReadRun(std::string_view text, size_t i) {
  DigitRun run;
  size_t digits = 0;
  while (i < text.size() && IsDigit(text[i])) {
    if (run.groups.size() == 12 || digits >= 24) {
      run.cut = true;
      break;
    }
    DigitRun::Group group{i, i, ""};
    while (group.end < text.size() && IsDigit(text[group.end])) ++group.end;
    digits += group.end - group.begin;
    i = group.end;
    while (group.separator.size() < 3 && IsSeparator(At(text, i))) {
      group.separator.push_back(text[i++]);
    }
    run.groups.push_back(std::move(group));
  }
  return run;
}

size_t DigitCount(const DigitRun& run, size_t first, size_t count) {
  size_t digits = 0;
  for (size_t g = first; g < first + count; ++g) digits += run.groups[g].end - run.groups[g].begin;
  return digits;
}

std::string Digits(std::string_view text, const DigitRun& run, size_t first, size_t count) {
  std::string digits;
  for (size_t g = first; g < first + count; ++g) digits.append(run.groups[g].Of(text));
  return digits;
}

std::vector<int> Lengths(const DigitRun& run, size_t first, size_t count) {
  std::vector<int> lengths;
  for (size_t g = first; g < first + count; ++g) {
    lengths.push_back(static_cast<int>(run.groups[g].end - run.groups[g].begin));
  }
  return lengths;
}

// --- payment cards -------------------------------------------------------------------------------

bool PassesLuhn(std::string_view digits) {
  int sum = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    int digit = digits[digits.size() - 1 - i] - '0';
    if (i % 2 == 1) digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
    sum += digit;
  }
  return sum % 10 == 0;
}

struct Issuer {
  int first, last;  // of the leading digits, inclusive
  int prefix;       // how many
  int min_length, max_length;
};
// ISO/IEC 7812 ranges as the networks publish them.
constexpr Issuer kIssuers[] = {
    {4, 4, 1, 13, 19},                                                          // Visa
    {51, 55, 2, 16, 16},     {2221, 2720, 4, 16, 16},                           // Mastercard
    {34, 34, 2, 15, 15},     {37, 37, 2, 15, 15},                               // American Express
    {6011, 6011, 4, 16, 19}, {644, 649, 3, 16, 19},   {65, 65, 2, 16, 19},      // Discover
    {3528, 3589, 4, 16, 19},                                                    // JCB
    {36, 36, 2, 14, 19},     {300, 305, 3, 14, 19},   {38, 39, 2, 14, 19},      // Diners
    {62, 62, 2, 16, 19},                                                        // UnionPay
    {5018, 5018, 4, 13, 19}, {5020, 5020, 4, 13, 19}, {5038, 5038, 4, 13, 19},  // Maestro
    {6304, 6304, 4, 13, 19}, {6759, 6763, 4, 13, 19},
};

bool HasIssuer(std::string_view digits) {
  return std::any_of(std::begin(kIssuers), std::end(kIssuers), [&](const Issuer& issuer) {
    const int length = static_cast<int>(digits.size());
    if (length < issuer.min_length || length > issuer.max_length) return false;
    const int prefix = std::stoi(std::string(digits.substr(0, issuer.prefix)));
    return prefix >= issuer.first && prefix <= issuer.last;
  });
}

// One group, or the groups that cards are printed in.
bool IsCardGrouping(const std::vector<int>& lengths) {
  if (lengths.size() == 1) return true;
  if (lengths == std::vector<int>{4, 6, 5} || lengths == std::vector<int>{4, 6, 4}) return true;
  for (size_t i = 0; i + 1 < lengths.size(); ++i) {
    if (lengths[i] != 4) return false;
  }
  return lengths.back() >= 1 && lengths.back() <= 4 && lengths.size() >= 4;
}

bool IsCard(std::string_view text, const DigitRun& run, size_t first, size_t count) {
  const size_t length = DigitCount(run, first, count);
  if (length < 13 || length > 19) return false;
  // A '+' begins an international number, which has at most 15 digits (E.164).
  if (Before(text, run.groups[first].begin) == '+' && length <= 15) return false;
  for (size_t g = first; g + 1 < first + count; ++g) {
    const std::string& separator = run.groups[g].separator;
    if (separator != " " && separator != "-") return false;
    if (separator != run.groups[first].separator) return false;
  }
  const std::string digits = Digits(text, run, first, count);
  return IsCardGrouping(Lengths(run, first, count)) && HasIssuer(digits) && PassesLuhn(digits);
}

// --- phone numbers -------------------------------------------------------------------------------

// Words that say that a number nearby is one to call. Short ones must stand alone ("call", not
// "called"); the others may begin a longer word ("Telefonnummer").
struct PhoneCue {
  std::string_view word;
  bool alone;
};
constexpr PhoneCue kPhoneCues[] = {
    {"phone", false},    {"telephone", false}, {"telefon", false},  {"teléfono", false},
    {"mobile", true},    {"mobil", false},     {"móvil", false},    {"cell", true},
    {"cellphone", true}, {"fax", true},        {"whatsapp", false}, {"handy", false},
    {"tel", true},       {"call", true},       {"ring", true},      {"sms", true},
    {"dial", true},      {"hotline", false},   {"text me", true},   {"reach me", true},
    {"телефон", false},  {"电话", false},      {"手机", false},     {"電話", false},
    {"전화", false},     {"numéro de", true},
};
constexpr size_t kCueReach = 32;  // bytes between a cue's end and the number

// Where the cues end, rising: found once, so that asking for one is cheap.
class PhoneCues {
 public:
  explicit PhoneCues(std::string_view lower) {
    for (const PhoneCue& cue : kPhoneCues) {
      for (size_t at = lower.find(cue.word); at != std::string_view::npos;
           at = lower.find(cue.word, at + cue.word.size())) {
        const size_t end = at + cue.word.size();
        if (IsAlpha(Before(lower, at)) && IsAlpha(cue.word[0])) continue;
        if (cue.alone && IsAlpha(At(lower, end))) continue;
        ends_.push_back(end);
      }
    }
    std::sort(ends_.begin(), ends_.end());
  }
  bool Near(size_t begin) const {
    const auto after = std::upper_bound(ends_.begin(), ends_.end(), begin);
    return after != ends_.begin() && begin - *(after - 1) <= kCueReach;
  }

 private:
  std::vector<size_t> ends_;
};

bool Is(const std::vector<int>& lengths, std::initializer_list<int> pattern) {
  return std::equal(lengths.begin(), lengths.end(), pattern.begin(), pattern.end());
}

// 01.02.2023, 1/2/23, 2023-01-02 at the head of the run.
bool StartsWithDate(std::string_view text, const DigitRun& run, size_t first, size_t count) {
  if (count < 3) return false;
  const std::vector<int> l = Lengths(run, first, 3);
  const std::string& a = run.groups[first].separator;
  if (a != run.groups[first + 1].separator || (a != "." && a != "/" && a != "-" && a != ". ")) {
    return false;
  }
  const auto number = [&](size_t g) { return std::stol(std::string(run.groups[g].Of(text))); };
  if (l[0] <= 2 && l[1] <= 2 && (l[2] == 4 || l[2] == 2)) {
    return number(first) <= 31 && number(first + 1) <= 31 && (l[2] == 4 || count == 3);
  }
  return l[0] == 4 && l[1] <= 2 && l[2] <= 2 && number(first + 1) <= 12 && number(first + 2) <= 31;
}

// The shapes in which national numbers are written; cues (a phone word before) allow more.
bool IsNationalShape(std::string_view digits, const std::vector<int>& l,
                     const std::string& separator, bool cue) {
  const size_t n = digits.size();
  const bool nanp_tail = l.size() >= 3 && l[l.size() - 2] == 3 && l.back() == 4;
  if (Is(l, {3, 3, 4}) && digits[0] >= '2' && digits[3] >= '2') {  // North America
    return separator != "/";
  }
  if (Is(l, {1, 3, 3, 4}) && digits[0] == '1' && nanp_tail && digits[1] >= '2') return true;
  if (digits[0] == '0' && n >= 9 && n <= 12 && l.size() >= 2 && l[0] >= 2 && digits[1] != '0') {
    return true;  // a trunk zero: most of Europe, Asia, Australia
  }
  if (digits[0] == '0' && digits[1] == '0' && n >= 11 && n <= 16 && digits[2] != '0') {
    return l.size() >= 2 || cue;  // 00 and a country code
  }
  if (digits[0] >= '6' && n == 9 && (Is(l, {2, 3, 2, 2}) || Is(l, {3, 2, 2, 2}))) return true;
  if (digits[0] == '1' && digits[1] >= '3' && Is(l, {3, 4, 4})) return true;  // China
  if (digits[0] >= '6' && Is(l, {5, 5})) return true;                         // India
  return cue && n >= 7 && n <= 15 && !(l.size() == 1 && n > 12);
}

// " - " may as well be a minus: only where it is clear that a number is called.
bool IsPhoneSeparator(const std::string& s, bool clear) {
  if (s == " - ") return clear;
  return s == " " || s == "-" || s == "." || s == "/" || s == ") " || s == ")" || s == " (" ||
         s == "(" || s == ")-" || s == ")/" || s == ") -";
}

// Part of arithmetic, a price, a fraction or a longer token on either side.
bool StandsAlone(std::string_view text, size_t begin, size_t end, bool cue) {
  const unsigned char before = Before(text, begin);
  if (IsAlnum(before) || OneOf(before, "_$#-./,+=*")) return false;
  const unsigned char after = At(text, end);
  if (IsAlnum(after) || OneOf(after, "_%*=")) return false;
  const bool joined = OneOf(after, ".,-:/");
  if (joined && IsAlnum(At(text, end + 1))) return false;
  const unsigned char solid_before = SolidBefore(text, begin), solid_after = SolidAfter(text, end);
  if (OneOf(solid_after, "=+*^%<>")) return false;
  if (cue) return true;
  return !OneOf(solid_before, "=*^<>");
}

// The window of `count` groups from `first` is a phone number. What is part of a card is one only
// where a '+' or a cue says so.
bool IsPhone(std::string_view text, const PhoneCues& cues, const DigitRun& run, size_t first,
             size_t count, bool in_card) {
  size_t begin = run.groups[first].begin;  // moves to where the '+' or '(' stands
  const size_t end = run.groups[first + count - 1].end;
  const size_t length = DigitCount(run, first, count);
  if (length < 7 || length > 16) return false;
  const bool parenthesis = Before(text, begin) == '(';
  if (parenthesis) --begin;
  const bool plus = Before(text, begin) == '+';
  if (plus) --begin;
  const bool cue = cues.Near(begin);
  if (in_card && !plus && !cue) return false;
  for (size_t g = first; g + 1 < first + count; ++g) {
    if (!IsPhoneSeparator(run.groups[g].separator, cue || plus)) return false;
  }
  if (!StandsAlone(text, begin, end, cue)) return false;
  const std::string digits = Digits(text, run, first, count);
  if (plus) {  // E.164: a country code and at most 15 digits in all
    const unsigned char solid = SolidBefore(text, begin);
    const bool sum = IsDigit(solid) || solid == ')' || solid == '=' || IsAlpha(solid);
    const bool arithmetic = sum && !cue && count == 1 && IsDigit(solid);
    return digits[0] != '0' && digits.size() >= 8 && digits.size() <= 15 && !arithmetic;
  }
  if (StartsWithDate(text, run, first, count)) return false;
  return IsNationalShape(digits, Lengths(run, first, count),
                         count > 1 ? run.groups[first].separator : "", cue);
}

// --- IP addresses --------------------------------------------------------------------------------

// The word right before begin says that a version or a section is counted. A word further off says
// nothing of the number: "build host 10.1.2.3".
bool FollowsVersionWord(std::string_view lower, size_t begin) {
  size_t end = begin;
  while (end > 0 && begin - end < 4 && OneOf(lower[end - 1], " :=.\"'")) --end;
  size_t start = end;
  while (start > 0 && end - start < 12 && IsAlpha(lower[start - 1])) --start;
  constexpr std::string_view kWords[] = {"version", "versions", "release", "section", "chapter",
                                         "build",   "rev",      "v",       "clause",  "firmware"};
  return end < begin && std::find(std::begin(kWords), std::end(kWords),
                                  lower.substr(start, end - start)) != std::end(kWords);
}

// Loopback, unspecified and netmasks name nobody.
bool IsNobody(const std::array<int, 4>& octets) {
  return octets[0] == 127 || octets[0] == 255 ||
         (octets[0] == 0 && octets[1] == 0 && octets[2] == 0 && octets[3] == 0);
}

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

// --- the number scanners together ----------------------------------------------------------------

// Nothing that goes on to the left or right of the window is part of a longer token.
bool IsBounded(std::string_view text, const DigitRun& run, size_t first, size_t count) {
  return !IsAlnum(Before(text, run.groups[first].begin)) &&
         !IsAlnum(At(text, run.groups[first + count - 1].end));
}

// As IsBounded, and no decimal point, hyphen or underscore joins it to another number: behind a
// word ("visa-4111...", "no.4111...") they part it.
bool IsDetached(std::string_view text, const DigitRun& run, size_t first, size_t count) {
  const size_t begin = run.groups[first].begin, end = run.groups[first + count - 1].end;
  if (!IsBounded(text, run, first, count)) return false;
  if (OneOf(Before(text, begin), ".-_") && !IsAlpha(Before(text, begin - 1))) return false;
  return !(OneOf(At(text, end), ".-") && IsDigit(At(text, end + 1)));
}

// Cards, phone numbers and IPv4 addresses.
class NumberScanner {
 public:
  NumberScanner(std::string_view text, std::string_view lower)
      : text_(text), lower_(lower), cues_(lower) {}

  PiiSet Scan() {
    for (size_t i = 0; i < text_.size();) {
      if (!IsDigit(text_[i])) {
        ++i;
        continue;
      }
      const DigitRun run = ReadRun(text_, i);
      // A run that was cut tells enough of numbers that begin with its first group only: it is read
      // anew from its second, so that nothing is stepped over and each group is read 12 times at
      // most.
      const bool again = run.cut && run.groups.size() > 1;
      ScanRun(run, again ? 1 : run.groups.size());
      i = again ? run.groups[1].begin : run.groups.back().end;
    }
    return found_;
  }

 private:
  // Looks for numbers that begin with one of the first `starts` groups.
  void ScanRun(const DigitRun& run, size_t starts) {
    const std::vector<bool> card = CardGroups(run);
    for (size_t first = 0; first < starts; ++first) {
      if (HasPhoneAt(run, first, card)) found_ |= static_cast<PiiSet>(Pii::kPhone);
      if (IsIpv4(text_, lower_, run, first)) found_ |= static_cast<PiiSet>(Pii::kIp);
    }
  }

  // Which groups belong to cards; one may have begun in the run that was cut before.
  std::vector<bool> CardGroups(const DigitRun& run) {
    const size_t n = run.groups.size();
    std::vector<bool> card(n, false);
    for (size_t g = 0; g < n; ++g) card[g] = run.groups[g].begin < card_end_;
    for (size_t first = 0; first < n; ++first) {
      for (size_t count = n - first; count > 0; --count) {
        if (!IsDetached(text_, run, first, count) || !IsCard(text_, run, first, count)) continue;
        found_ |= static_cast<PiiSet>(Pii::kCard);
        std::fill_n(card.begin() + static_cast<long>(first), count, true);
        if (first == 0) card_end_ = std::max(card_end_, run.groups[count - 1].end);
      }
    }
    return card;
  }

  bool HasPhoneAt(const DigitRun& run, size_t first, const std::vector<bool>& card) const {
    bool in_card = false;
    for (size_t count = 1; first + count <= run.groups.size(); ++count) {
      in_card = in_card || card[first + count - 1];
      if (IsBounded(text_, run, first, count) &&
          IsPhone(text_, cues_, run, first, count, in_card)) {
        return true;
      }
    }
    return false;
  }

  const std::string_view text_, lower_;
  const PhoneCues cues_;
  size_t card_end_ = 0;  // of the last card that began with the first group of a run
  PiiSet found_ = 0;
};

// --- IBAN ----------------------------------------------------------------------------------------

struct IbanCountry {
  char code[3];
  int length;
};
// SWIFT IBAN registry.
constexpr IbanCountry kIbanCountries[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22},
    {"BH", 22}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22},
    {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18}, {"FO", 18}, {"FR", 27},
    {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27}, {"GT", 28}, {"HR", 21}, {"HU", 28},
    {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26}, {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20},
    {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27},
    {"MD", 24}, {"ME", 22}, {"MK", 19}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NL", 18}, {"NO", 15},
    {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"SA", 24},
    {"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"ST", 25}, {"SV", 28},
    {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20},
};

int IbanLength(char a, char b) {
  for (const IbanCountry& country : kIbanCountries) {
    if (country.code[0] == a && country.code[1] == b) return country.length;
  }
  return 0;
}

// ISO 7064 mod 97-10: the first four characters move to the end, letters count from A = 10.
bool PassesMod97(const std::string& iban) {
  const std::string turned = iban.substr(4) + iban.substr(0, 4);
  int rest = 0;
  for (char c : turned) {
    const int value = IsDigit(c) ? c - '0' : c - 'A' + 10;
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest == 1;
}

// Bytes of the IBAN that starts at i, 0 = none.
size_t IbanAt(std::string_view text, size_t i) {
  const auto upper = [&](size_t at) {
    const unsigned char c = At(text, at);
    return static_cast<char>(IsLower(c) ? c - 32 : c);
  };
  const int length = IbanLength(upper(i), upper(i + 1));
  if (length == 0) return 0;
  std::string iban;
  size_t at = i;
  while (static_cast<int>(iban.size()) < length && at < text.size()) {
    const unsigned char c = text[at];
    if (IsAlnum(c)) {
      iban.push_back(upper(at));
    } else if (!((c == ' ' || c == '-') && IsAlnum(At(text, at + 1)))) {
      return 0;
    }
    ++at;
  }
  const bool whole = static_cast<int>(iban.size()) == length && !IsAlnum(At(text, at));
  return whole && IsDigit(iban[2]) && IsDigit(iban[3]) && PassesMod97(iban) ? at - i : 0;
}

// Overwrites every IBAN with '#', so that its digits are not read as another number.
bool MaskIbans(std::string* text) {
  bool found = false;
  for (size_t i = 0; i + 15 <= text->size(); ++i) {
    if (!IsAlpha((*text)[i]) || IsAlnum(Before(*text, i)) || !IsAlpha(At(*text, i + 1))) continue;
    const size_t length = IbanAt(*text, i);
    if (length == 0) continue;
    std::fill_n(text->begin() + static_cast<long>(i), length, '#');
    found = true;
  }
  return found;
}

// --- secrets -------------------------------------------------------------------------------------

bool IsTokenByte(unsigned char c) { return IsAlnum(c) || c == '-' || c == '_'; }

size_t TokenLength(std::string_view text, size_t i) {
  size_t end = i;
  while (end < text.size() && end - i < 512 && IsTokenByte(text[end])) ++end;
  return end - i;
}

// Prefixes that issuers put on their keys, and the least length of what follows.
struct KeyPrefix {
  const char* prefix;
  size_t min_rest;
};
constexpr KeyPrefix kKeyPrefixes[] = {
    {"sk-", 20},     {"sk_live_", 16},    {"sk_test_", 16}, {"rk_live_", 16},
    {"ghp_", 30},    {"gho_", 30},        {"ghs_", 30},     {"ghu_", 30},
    {"ghr_", 30},    {"github_pat_", 30}, {"glpat-", 18},   {"xoxb-", 10},
    {"xoxp-", 10},   {"xoxa-", 10},       {"xoxs-", 10},    {"AKIA", 16},
    {"ASIA", 16},    {"AIza", 33},        {"ya29.", 20},    {"hf_", 28},
    {"npm_", 30},    {"pypi-", 30},       {"xai-", 30},     {"gsk_", 30},
    {"dop_v1_", 40}, {"shpat_", 28},      {"whsec_", 24},   {"AGE-SECRET-KEY-1", 30},
    {"SG.", 20},
};

bool LooksRandom(std::string_view token) {
  const auto has = [&](auto test) { return std::any_of(token.begin(), token.end(), test); };
  return has(IsDigit) && has(IsAlpha);
}

bool IsKeyAt(std::string_view text, size_t i) {
  for (const KeyPrefix& key : kKeyPrefixes) {
    if (!StartsWith(text.substr(i), key.prefix)) continue;
    const size_t rest = i + std::string_view(key.prefix).size();
    const size_t length = TokenLength(text, rest);
    if (length >= key.min_rest && LooksRandom(text.substr(rest, length))) return true;
  }
  return false;
}

// eyJ...: three base64url parts of a JSON web token.
bool IsJwtAt(std::string_view text, size_t i) {
  if (!StartsWith(text.substr(i), "eyJ")) return false;
  for (int part = 0; part < 2; ++part) {
    const size_t length = TokenLength(text, i);
    if (length < 10 || At(text, i + length) != '.') return false;
    i += length + 1;
  }
  return TokenLength(text, i) >= 10;
}

bool HasKey(std::string_view text) {
  for (size_t i = 0; i + 8 < text.size(); ++i) {
    if (IsTokenByte(Before(text, i)) || !IsAlpha(text[i])) continue;
    if (IsKeyAt(text, i) || IsJwtAt(text, i)) return true;
  }
  return false;
}

bool HasPrivateKeyBlock(std::string_view text) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  for (size_t at = text.find(kBegin); at != std::string_view::npos;
       at = text.find(kBegin, at + kBegin.size())) {
    if (text.substr(at, 64).find("PRIVATE KEY") != std::string_view::npos) return true;
  }
  return false;
}

// scheme://user:password@host
bool HasUrlCredentials(std::string_view text) {
  for (size_t at = text.find("://"); at != std::string_view::npos; at = text.find("://", at + 3)) {
    size_t colon = 0, i = at + 3;
    for (; i < text.size() && i - at < 256; ++i) {
      const unsigned char c = text[i];
      if (c == ':' && colon == 0) colon = i;
      if (c <= ' ' || c == '/' || c == '@' || c == '"' || c == '\'' || c == '<') break;
    }
    if (At(text, i) == '@' && colon > at + 3 && i - colon > 3 && text[colon + 1] != '$' &&
        text[colon + 1] != '{') {
      return true;
    }
  }
  return false;
}

// Words that are followed by a secret, and whether any word will do as one (else it must hold a
// digit and have some length).
struct SecretCue {
  std::string_view word;
  bool strong;
};
constexpr SecretCue kSecretCues[] = {
    {"password", true},       {"passwd", true},      {"pwd", true},         {"passphrase", true},
    {"passcode", true},       {"passwort", true},    {"kennwort", true},    {"contraseña", true},
    {"mot de passe", true},   {"пароль", true},      {"密码", true},        {"api key", false},
    {"api_key", false},       {"apikey", false},     {"api-key", false},    {"access_token", false},
    {"access token", false},  {"auth token", false}, {"auth_token", false}, {"secret", false},
    {"client_secret", false}, {"secret_key", false}, {"access_key", false}, {"private_key", false},
    {"token", false},         {"bearer", false},     {"pin code", false},   {"wachtwoord", true},
    {"senha", true},          {"pass", true},        {"パスワード", true},
};

bool IsPlaceholder(std::string_view lower) {
  constexpr std::string_view kWords[] = {
      "none",     "null",      "required", "your",      "string",    "str",     "true", "false",
      "optional", "secret",    "password", "changeme_", "xxxx",      "****",    "todo", "text",
      "hidden",   "undefined", "field",    "not",       "the",       "this",    "that", "incorrect",
      "wrong",    "invalid",   "strong",   "reset",     "protected", "manager", "and",  "must",
      "should",   "example",   "redacted", "varchar",   "bool",      "int",     "what", "which",
      "how",      "value",     "input",    "empty"};
  if (lower.find_first_of("<>{}()[]$") != std::string_view::npos) return true;
  return std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view word) { return StartsWith(lower, word); });
}

// The value from i to the next blank or quote, without its quotes and closing punctuation.
struct Value {
  std::string_view text;
  bool quoted = false;
  bool ends_phrase = false;  // nothing but an end of line or sentence follows
};

Value ReadValue(std::string_view text, size_t i) {
  Value value;
  if (At(text, i) == '"' || At(text, i) == '\'' || At(text, i) == '`') value.quoted = true, ++i;
  size_t end = i;
  while (end < text.size() && end - i < 200) {
    const unsigned char c = text[end];
    if (c <= ' ' || (value.quoted && (c == '"' || c == '\'' || c == '`'))) break;
    ++end;
  }
  const unsigned char after = value.quoted ? At(text, end + 1) : At(text, end);
  value.ends_phrase = after == 0 || after == '\n' || after == '\r';
  while (end > i && OneOf(text[end - 1], ".,;:!?)") && !value.quoted) {
    value.ends_phrase = true;
    --end;
  }
  value.text = text.substr(i, end - i);
  return value;
}

bool HasSymbolOrDigit(std::string_view value) {
  return std::any_of(value.begin(), value.end(),
                     [](unsigned char c) { return IsDigit(c) || OneOf(c, "!@#$%^&*_?+~"); });
}

// `assigned`: by ':' or '='; else by "is".
bool IsSecretValue(std::string_view text, size_t i, bool strong, bool assigned) {
  const Value value = ReadValue(text, i);
  const std::string lower = LowerAscii(value.text);
  if (value.text.size() < 4 || IsPlaceholder(lower)) return false;
  if (!strong) return value.text.size() >= 8 && LooksRandom(value.text);
  if (HasSymbolOrDigit(value.text)) {
    // user.password_2, os.environ: a name in a program, not a value.
    return value.quoted || value.text.find('.') == std::string_view::npos ||
           !IsAlpha(value.text[0]) || std::any_of(value.text.begin(), value.text.end(), IsDigit);
  }
  if (value.quoted) return true;
  return assigned && value.ends_phrase && value.text.find('.') == std::string_view::npos;
}

size_t SkipBlanks(std::string_view text, size_t i) {
  while (i < text.size() && text[i] == ' ') ++i;
  return i;
}

// What stands between the cue at its end and the value: ':', '=', "is" and the like.
bool IsAssignmentAt(std::string_view text, std::string_view lower, size_t i, bool strong) {
  if (At(text, i) == '"' || At(text, i) == '\'') ++i;  // "password": "..."
  i = SkipBlanks(text, i);
  if (At(text, i) == ':' || At(text, i) == '=') {
    if (At(text, i + 1) == '=') return false;  // a comparison
    return IsSecretValue(text, SkipBlanks(text, i + 1), strong, true);
  }
  for (std::string_view is : {"is ", "ist ", "est ", "es ", "was ", "to ", "is: ", "是", "は"}) {
    if (!StartsWith(lower.substr(i), is)) continue;
    return IsSecretValue(text, SkipBlanks(text, i + is.size()), strong, false);
  }
  return false;
}

bool HasAssignment(std::string_view text, std::string_view lower) {
  for (const SecretCue& cue : kSecretCues) {
    for (size_t at = lower.find(cue.word); at != std::string_view::npos;
         at = lower.find(cue.word, at + 1)) {
      const size_t end = at + cue.word.size();
      const unsigned char before = Before(lower, at);
      if (IsAlnum(At(lower, end)) || At(lower, end) == '_' || IsAlnum(before)) continue;
      if (cue.word == "bearer" && TokenLength(text, end + 1) >= 20 &&
          LooksRandom(text.substr(end + 1, TokenLength(text, end + 1)))) {
        return true;
      }
      if (IsAssignmentAt(text, lower, end, cue.strong)) return true;
    }
  }
  return false;
}

}  // namespace

PiiSet ScanPii(std::string_view written) {
  const std::string text = NormalizeForScan(written);
  const std::string lower = LowerAscii(text);
  PiiSet found = 0;
  std::string numbers = text;
  if (MaskIbans(&numbers)) found |= static_cast<PiiSet>(Pii::kIban);
  found |= NumberScanner(numbers, lower).Scan();
  if (HasEmail(text)) found |= static_cast<PiiSet>(Pii::kEmail);
  if (HasIpv6(text)) found |= static_cast<PiiSet>(Pii::kIp);
  if (HasPrivateKeyBlock(text) || HasKey(text) || HasUrlCredentials(text) ||
      HasAssignment(text, lower)) {
    found |= static_cast<PiiSet>(Pii::kSecret);
  }
  return found;
}

const char* PiiName(Pii pii) {
  switch (pii) {
    case Pii::kEmail:
      return "email";
    case Pii::kPhone:
      return "phone";
    case Pii::kCard:
      return "card";
    case Pii::kIban:
      return "iban";
    case Pii::kIp:
      return "ip";
    case Pii::kSecret:
      return "secret";
  }
  return "unknown";
}

std::optional<Pii> PiiByName(std::string_view name) {
  for (Pii pii : kAllPii) {
    if (name == PiiName(pii)) return pii;
  }
  return std::nullopt;
}

}  // namespace nearfar
