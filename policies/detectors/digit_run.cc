#include "policies/detectors/digit_run.h"

#include <utility>

#include "policies/detectors/ascii.h"

namespace nearfar::detectors {
namespace {

constexpr size_t kMostGroups = 12, kMostDigits = 24;

bool IsSeparator(unsigned char c) { return c == ' ' || OneOf(c, "-./()"); }

}  // namespace

DigitRun ReadRun(std::string_view text, size_t i) {
  DigitRun run;
  run.groups.reserve(kMostGroups);
  size_t digits = 0;
  while (i < text.size() && IsDigit(text[i])) {
    if (run.groups.size() == kMostGroups || digits >= kMostDigits) {
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

bool IsBounded(std::string_view text, const DigitRun& run, size_t first, size_t count) {
  return !IsAlnum(Before(text, run.groups[first].begin)) &&
         !IsAlnum(At(text, run.groups[first + count - 1].end));
}

}  // namespace nearfar::detectors
