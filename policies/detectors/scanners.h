// The scanners that ScanPii is made of, one file a kind. Each is pure and linear in its text, which
// is spelled as by policies/text/scan_text.h; `lower` is the same text, ASCII in lower case, too.
// Held by tests/policies/detectors/pii_test.cc.

#ifndef NEARFAR_POLICIES_DETECTORS_SCANNERS_H_
#define NEARFAR_POLICIES_DETECTORS_SCANNERS_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "policies/detectors/digit_run.h"
#include "policies/signals.h"

namespace nearfar::detectors {

bool HasEmail(std::string_view text);  // email.cc

// Overwrites every IBAN with '#', so that its digits are not read as another number.
bool MaskIbans(std::string* text);  // iban.cc

// Cards, phone numbers and IPv4 addresses.
PiiSet ScanNumbers(std::string_view text, std::string_view lower);  // numbers.cc

// The window of `count` groups from `first` is the number of a payment card.
bool IsCard(std::string_view text, const DigitRun& run, size_t first, size_t count);  // card.cc
inline constexpr size_t kMostCardGroups = 5;  // 19 digits by four

// Where words that announce a phone number end: found once, so that asking for one is cheap.
class PhoneCues {  // phone.cc
 public:
  explicit PhoneCues(std::string_view lower);
  // One ends shortly before `begin`.
  bool Near(size_t begin) const;

 private:
  std::vector<size_t> ends_;  // rising
};

// The window of `count` groups from `first` is a phone number. What is part of a card is one only
// where a '+' or a cue says so.
bool IsPhone(std::string_view text, const PhoneCues& cues, const DigitRun& run, size_t first,
             size_t count, bool in_card);

// The four groups from `first` are an IPv4 address. ip.cc
bool IsIpv4(std::string_view text, std::string_view lower, const DigitRun& run, size_t first);
bool HasIpv6(std::string_view text);

bool HasSecret(std::string_view text, std::string_view lower);  // secret.cc

}  // namespace nearfar::detectors

#endif  // NEARFAR_POLICIES_DETECTORS_SCANNERS_H_
