// At each place of the text the longest token that stands there, by narrowing a sorted list; then,
// from the longest tokens to the shortest, each takes its place if it is free, or else stands back
// for the next shorter token of the same place.
//
// Whether a place is free is seen at its two ends: what was taken before is at least as long, so it
// cannot lie strictly inside.

#include "local_engine/tokenizer/special_tokens.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace nearfar {
namespace {

std::vector<Vocab::Special> OnlyPlain(absl::Span<const Vocab::Special> specials) {
  std::vector<Vocab::Special> plain;
  std::copy_if(specials.begin(), specials.end(), std::back_inserter(plain),
               [](const Vocab::Special& special) { return special.plain; });
  return plain;
}

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

}  // namespace

SpecialTexts::SpecialTexts(std::vector<Vocab::Special> specials) {
  std::sort(specials.begin(), specials.end(),
            [](const auto& a, const auto& b) { return a.text < b.text; });
  int32_t shorter = -1;
  for (Vocab::Special& special : specials) {
    while (shorter >= 0 && !StartsWith(special.text, entries_[shorter].text)) {
      shorter = entries_[shorter].shorter;
    }
    const int32_t index = static_cast<int32_t>(entries_.size());
    Range& range = by_first_byte_[static_cast<uint8_t>(special.text[0])];
    if (range.last == 0) range.first = index;
    range.last = index + 1;
    longest_ = std::max(longest_, special.text.size());
    entries_.push_back({std::move(special.text), special.id, shorter});
    shorter = index;
  }
}

SpecialTexts::Range SpecialTexts::GoOn(Range range, size_t depth, char c) const {
  const uint8_t byte = static_cast<uint8_t>(c);
  const auto first = entries_.begin() + range.first;
  const auto last = entries_.begin() + range.last;
  const auto byte_of = [depth](const Entry& entry) {
    return static_cast<uint8_t>(entry.text[depth]);
  };
  const auto from =
      std::partition_point(first, last, [&](const Entry& e) { return byte_of(e) < byte; });
  const auto to =
      std::partition_point(from, last, [&](const Entry& e) { return byte_of(e) == byte; });
  return {static_cast<int32_t>(from - entries_.begin()),
          static_cast<int32_t>(to - entries_.begin())};
}

int32_t SpecialTexts::LongestAt(std::string_view text) const {
  Range range = by_first_byte_[static_cast<uint8_t>(text[0])];
  int32_t longest = -1;
  for (size_t depth = 1; range.first < range.last; ++depth) {
    // Of entries that begin alike the shortest comes first.
    if (entries_[range.first].text.size() == depth) longest = range.first++;
    if (depth == text.size()) break;
    range = GoOn(range, depth, text[depth]);
  }
  return longest;
}

std::vector<SpecialMatch> SpecialTexts::Find(std::string_view text) const {
  if (entries_.empty()) return {};
  std::vector<std::vector<Candidate>> by_length(longest_ + 1);
  for (size_t at = 0; at < text.size(); ++at) {
    const int32_t entry = LongestAt(text.substr(at));
    if (entry >= 0) by_length[entries_[entry].text.size()].push_back({at, entry});
  }
  std::vector<SpecialMatch> chosen;
  std::vector<bool> taken(text.size());
  for (size_t length = longest_; length > 0; --length) {
    std::vector<Candidate> candidates = std::move(by_length[length]);
    std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
      return std::make_tuple(entries_[a.entry].id, a.begin) <
             std::make_tuple(entries_[b.entry].id, b.begin);
    });
    for (const Candidate& candidate : candidates) {
      const Entry& entry = entries_[candidate.entry];
      const size_t end = candidate.begin + length;
      if (taken[candidate.begin]) continue;  // for the shorter ones too
      if (!taken[end - 1]) {
        std::fill(taken.begin() + candidate.begin, taken.begin() + end, true);
        chosen.push_back({candidate.begin, end, entry.id});
      } else if (entry.shorter >= 0) {
        const size_t next = entries_[entry.shorter].text.size();
        by_length[next].push_back({candidate.begin, entry.shorter});
      }
    }
  }
  std::sort(chosen.begin(), chosen.end(),
            [](const SpecialMatch& a, const SpecialMatch& b) { return a.begin < b.begin; });
  return chosen;
}

SpecialTokens::SpecialTokens(const Vocab& vocab)
    : all_({vocab.specials().begin(), vocab.specials().end()}),
      plain_(OnlyPlain(vocab.specials())) {}

}  // namespace nearfar
