// IBANs: the length that the registry gives their country, and their checksum.
#include <algorithm>
#include <string>
#include <string_view>

#include "policies/detectors/ascii.h"
#include "policies/detectors/scanners.h"

namespace nearfar::detectors {
namespace {

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

}  // namespace

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

}  // namespace nearfar::detectors
