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
    size_t known = 0;  // groups of the run that the cut one before it held, too
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
      MarkCards(run, known);
      ScanRun(run, again ? 1 : run.groups.size());
      known = again ? run.groups.size() - 1 : 0;
      card_.erase(card_.begin(), again ? card_.begin() + 1 : card_.end());
      i = again ? run.groups[1].begin : run.groups.back().end;
    }
    return found_;
  }

 private:
  // Looks for numbers that begin with one of the first `starts` groups.
  void ScanRun(const DigitRun& run, size_t starts) {
    for (size_t first = 0; first < starts; ++first) {
      if (HasPhoneAt(run, first)) found_ |= static_cast<PiiSet>(Pii::kPhone);
      if (IsIpv4(text_, lower_, run, first)) found_ |= static_cast<PiiSet>(Pii::kIp);
    }
  }

  // Marks the groups that belong to cards. The windows among the first `known` groups were asked
  // in the run before, and their marks are still there.
  void MarkCards(const DigitRun& run, size_t known) {
    card_.resize(run.groups.size(), false);
    for (size_t end = known + 1; end <= run.groups.size(); ++end) {
      for (size_t count = 1; count <= std::min(end, kMostCardGroups); ++count) {
        if (!IsCard(text_, run, end - count, count)) continue;
        found_ |= static_cast<PiiSet>(Pii::kCard);
        std::fill_n(card_.begin() + static_cast<long>(end - count), count, true);
      }
    }
  }

  bool HasPhoneAt(const DigitRun& run, size_t first) const {
    bool in_card = false;
    for (size_t count = 1; first + count <= run.groups.size(); ++count) {
      in_card = in_card || card_[first + count - 1];
      if (IsBounded(text_, run, first, count) &&
          IsPhone(text_, cues_, run, first, count, in_card)) {
        return true;
      }
    }
    return false;
  }

  const std::string_view text_, lower_;
  const PhoneCues cues_;
  std::vector<bool> card_;  // of each group of the run: it belongs to a card
  PiiSet found_ = 0;
};

}  // namespace

PiiSet ScanNumbers(std::string_view text, std::string_view lower) {
  return NumberScanner(text, lower).Scan();
}

}  // namespace nearfar::detectors
