// Runs of digits, in which the scanners of numbers look for theirs: a number is a window, some
// groups that follow each other.

#ifndef NEARFAR_POLICIES_DETECTORS_DIGIT_RUN_H_
#define NEARFAR_POLICIES_DETECTORS_DIGIT_RUN_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace nearfar::detectors {

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

// The run whose first digit stands at i. It ends with the 12th group or with the one that holds the
// 24th digit: longer than any number that is looked for, whichever group that begins with.
DigitRun ReadRun(std::string_view text, size_t i);

// Of the window of `count` groups from `first`: how many digits, which, and how many in each group.
size_t DigitCount(const DigitRun& run, size_t first, size_t count);
std::string Digits(std::string_view text, const DigitRun& run, size_t first, size_t count);
std::vector<int> Lengths(const DigitRun& run, size_t first, size_t count);

// Nothing that goes on to the left or right of the window is part of a longer token.
bool IsBounded(std::string_view text, const DigitRun& run, size_t first, size_t count);

}  // namespace nearfar::detectors

#endif  // NEARFAR_POLICIES_DETECTORS_DIGIT_RUN_H_
