// Payment cards: an issuer's prefix, its length, the grouping that cards are printed in, and the
// checksum of Luhn.
#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "policies/detectors/ascii.h"
#include "policies/detectors/digit_run.h"
#include "policies/detectors/scanners.h"

namespace nearfar::detectors {
namespace {

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

bool IsCardWord(std::string_view word) {
  constexpr std::string_view kNames[] = {"visa",    "mc",  "mastercard", "amex",     "diners",
                                         "maestro", "jcb", "discover",   "unionpay", "cc"};
  constexpr std::string_view kEndings[] = {"card", "karte", "karten", "carte", "carta", "tarjeta"};
  const auto ends = [word](std::string_view ending) { return EndsWith(word, ending); };
  return IsAmong(word, kNames) || std::any_of(std::begin(kEndings), std::end(kEndings), ends);
}

// The word before `end` names a card: "visa", "Kreditkarte", and "card no" too.
bool FollowsCardWord(std::string_view text, size_t end) {
  constexpr std::string_view kCounts[] = {"no", "nr", "num", "number", "nummer"};
  const std::string word = LowerAscii(WordBefore(text, end));
  if (!IsAmong(word, kCounts)) return IsCardWord(word);
  const size_t count = end - word.size();
  return OneOf(Before(text, count), " -") && IsCardWord(LowerAscii(WordBefore(text, count - 1)));
}

// A slash stands before i in its word: a path or the address of a page.
bool IsInPath(std::string_view text, size_t i) {
  for (size_t steps = 0; i > 0 && steps < 128; ++steps, --i) {
    const auto c = static_cast<unsigned char>(text[i - 1]);
    if (c == '/') return true;
    if (c <= ' ') return false;
  }
  return false;
}

// ".jpg", ".html": a full stop, at most four small letters or digits, and the word is over.
bool IsFileEndingAt(std::string_view text, size_t i) {
  if (At(text, i) != '.' || !IsLower(At(text, i + 1))) return false;
  size_t end = i + 1;
  while (IsLower(At(text, end)) || IsDigit(At(text, end))) ++end;
  const size_t length = end - (i + 1);
  return length >= 2 && length <= 4 && !IsUpper(At(text, end));
}

// As IsBounded, and nothing joins it to another number or to a name, as in "0.4111...",
// "order_4111..." or "item-4111...html": behind a word that names a card ("visa-4111...") a hyphen
// or a full stop parts it.
bool IsDetached(std::string_view text, const DigitRun& run, size_t first, size_t count) {
  const size_t begin = run.groups[first].begin, end = run.groups[first + count - 1].end;
  if (!IsBounded(text, run, first, count)) return false;
  if (OneOf(At(text, end), ".-") && IsDigit(At(text, end + 1))) return false;
  if (!OneOf(Before(text, begin), ".-_")) return true;
  return Before(text, begin) != '_' && FollowsCardWord(text, begin - 1) && !IsInPath(text, begin) &&
         !IsFileEndingAt(text, end);
}

}  // namespace

bool IsCard(std::string_view text, const DigitRun& run, size_t first, size_t count) {
  const size_t length = DigitCount(run, first, count);
  if (length < 13 || length > 19 || !IsDetached(text, run, first, count)) return false;
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

}  // namespace nearfar::detectors
