// Phone numbers: E.164, the shapes of national ones, and more digits where a word announces them.
#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "policies/detectors/ascii.h"
#include "policies/detectors/digit_run.h"
#include "policies/detectors/scanners.h"

namespace nearfar::detectors {
namespace {

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

}  // namespace

PhoneCues::PhoneCues(std::string_view lower) {
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

bool PhoneCues::Near(size_t begin) const {
  const auto after = std::upper_bound(ends_.begin(), ends_.end(), begin);
  return after != ends_.begin() && begin - *(after - 1) <= kCueReach;
}

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

}  // namespace nearfar::detectors
