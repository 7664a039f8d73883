// Cards, phone numbers and IPv4 addresses: each run of digits is read once, and each window of it
// is asked what it is.
#include <algorithm>
#include <string_view>
#include <vector>

#include "policies/detectors/ascii.h"
#include "policies/detectors/digit_run.h"
#include "policies/detectors/scanners.h"

namespace nearfar::detectors {
namespace {

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
      for (size_t count = std::min(n - first, kMostCardGroups); count > 0; --count) {
        if (!IsCard(text_, run, first, count)) continue;
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

}  // namespace

PiiSet ScanNumbers(std::string_view text, std::string_view lower) {
  return NumberScanner(text, lower).Scan();
}

}  // namespace nearfar::detectors
