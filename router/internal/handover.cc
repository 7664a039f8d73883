// See handover.h.
//
// The search: the side's text `got` is laid against every suffix of `had` that starts at a word.
// While some suffix could still become whole, the stitcher waits; then the longest whole one is
// dropped. If nothing fits at the very beginning and the side was only instructed, a short preamble
// is allowed for: the same search, with longer matches demanded, at the first words of `got`.

#include "router/internal/handover.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "router/internal/release.h"

namespace nearfar::internal {
namespace {

constexpr std::string_view kFence = "```";
constexpr size_t kFewBytes = 8;        // a repetition this long is none by chance
constexpr size_t kFewWords = 2;        // nor is one of this many words
constexpr size_t kManyBytes = 24;      // after a preamble, or where the texts part again
constexpr size_t kWholeBytes = 12;     // after a preamble, all of what is out
constexpr size_t kMostPreamble = 80;   // canonical bytes before a restart
constexpr size_t kMostCompared = 160;  // of `had`, before a continuation is let through

bool IsSpace(char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); }

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// A letter or digit of a script that puts spaces between words.
bool IsWordByte(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ||
         (static_cast<unsigned char>(c) >= 0x80);
}

// The texts meet where a space belongs. Scripts without spaces are known by WordCut: between their
// characters it cuts, between two letters it does not.
bool NeedsSpace(const std::string& before, std::string_view after) {
  if (before.empty() || after.empty() || IsSpace(before.back()) || !IsWordByte(after.front())) {
    return false;
  }
  const std::string both = before + std::string(after.substr(0, 4));
  return WordCut(both, before.size()) != before.size();
}

}  // namespace

std::string PrefixFor(Continuation side, const std::string& released, bool whole_words) {
  if (side == Continuation::kExact || whole_words) return released;
  size_t end = released.size();
  while (end > 0 && IsSpace(released[end - 1])) --end;
  if (end < released.size()) return released.substr(0, end);
  return released.substr(0, WordCut(released, released.size()));
}

void Stitcher::Canonical::Append(std::string_view original) {
  for (char c : original) {
    ++bytes;
    if (IsSpace(c)) {
      after_space = true;
      continue;
    }
    if (after_space) words.push_back(text.size());
    after_space = false;
    text += absl::ascii_tolower(static_cast<unsigned char>(c));
    ends.push_back(bytes);
  }
}

Stitcher::Stitcher(Continuation side, std::string released, const std::string& prefix)
    : side_(side),
      released_(std::move(released)),
      fence_(OpenFence(released_) != std::string::npos) {
  had_.Append(released_);
  Canonical sent;
  sent.Append(prefix);
  dangling_ = had_.text.size() - std::min(sent.text.size(), had_.text.size());
  decided_ = had_.text.empty();
}

std::string Stitcher::Add(std::string_view piece) {
  if (decided_) return Pass(std::string(piece));
  waiting_ += piece;
  got_.Append(piece);
  return Decide(false);
}

std::string Stitcher::Finish(bool complete) {
  std::string out = decided_ ? std::string() : Decide(true);
  const std::string all = released_ + passed_;
  if (!complete || OpenFence(all) == std::string::npos) return out;
  return out + Pass(all.back() == '\n' ? "```" : "\n```");
}

std::string Stitcher::Decide(bool at_end) {
  const Match match = Find(at_end);
  if (!at_end && (match.kind == Match::Kind::kNotYet || FenceUndecided())) return {};
  decided_ = true;
  const bool overlapped = match.kind == Match::Kind::kYes;
  const size_t cut = overlapped ? got_.ends[match.length - 1] : 0;
  return Pass(Join(std::string_view(waiting_).substr(cut), overlapped));
}

Stitcher::Match Stitcher::Find(bool at_end) const {
  if (waiting_.empty()) return {Match::Kind::kNotYet};
  if (side_ == Continuation::kExact) {
    // A side that continues begins with the space before its word; one that repeats does not.
    if (IsSpace(waiting_.front()) != IsSpace(released_.front())) return {};
    const Match whole = MatchSuffix(0, 0, at_end);
    return whole.kind == Match::Kind::kNo ? Diverged() : whole;
  }
  if (got_.text.empty()) return {Match::Kind::kNotYet};
  const Match front = MatchAt(0, at_end);
  if (front.kind != Match::Kind::kNo) return front;
  const Match diverged = Diverged();
  if (diverged.kind == Match::Kind::kYes) return diverged;
  const size_t window = std::min(had_.text.size(), kMostCompared) + kMostPreamble;
  if (!at_end && got_.text.size() < window) return {Match::Kind::kNotYet};
  for (size_t from : got_.words) {
    if (from == 0) continue;
    if (from > kMostPreamble) break;
    const Match late = MatchAt(from, at_end);
    if (late.kind != Match::Kind::kNo) return late;
  }
  return {};
}

// The longest suffix of `had` that stands in `got` at `from`.
Stitcher::Match Stitcher::MatchAt(size_t from, bool at_end) const {
  Match best;
  auto consider = [&](size_t start) {
    if (best.kind != Match::Kind::kNo) return;
    best = MatchSuffix(from, start, at_end);
  };
  // Rising starts are falling lengths: the first that fits, or may yet fit, is the longest.
  for (size_t start : had_.words) consider(start);
  if (dangling_ > 0) consider(had_.text.size() - dangling_);
  return best;
}

Stitcher::Match Stitcher::MatchSuffix(size_t from, size_t start, bool at_end) const {
  const std::string_view suffix = std::string_view(had_.text).substr(start);
  const std::string_view got = std::string_view(got_.text).substr(from);
  if (got.empty()) return {at_end ? Match::Kind::kNo : Match::Kind::kNotYet};
  if (got.size() < suffix.size()) {
    if (!StartsWith(suffix, got)) return {};
    if (!at_end)
      return LongEnough(from, start, suffix.size()) ? Match{Match::Kind::kNotYet} : Match{};
    // It ended inside what the app already has.
    return LongEnough(from, start, got.size()) ? Match{Match::Kind::kYes, from + got.size()}
                                               : Match{};
  }
  if (!StartsWith(got, suffix) || !LongEnough(from, start, suffix.size())) return {};
  bool not_yet = false;
  if (!EndsWord(from + suffix.size(), at_end, &not_yet)) {
    return not_yet ? Match{Match::Kind::kNotYet} : Match{};
  }
  return {Match::Kind::kYes, from + suffix.size()};
}

// The side began the answer anew, word for word, and went another way before the seam.
Stitcher::Match Stitcher::Diverged() const {
  const size_t most = std::min(had_.text.size(), got_.text.size());
  size_t same = 0;
  while (same < most && had_.text[same] == got_.text[same]) ++same;
  if (same == most || same < kManyBytes || same < had_.text.size() / 2) return {};
  // Back to the start of the word in which they part.
  const size_t start = *std::prev(std::upper_bound(got_.words.begin(), got_.words.end(), same));
  return start > 0 ? Match{Match::Kind::kYes, start} : Match{};
}

size_t Stitcher::WordsFrom(size_t start) const {
  return had_.words.end() - std::lower_bound(had_.words.begin(), had_.words.end(), start);
}

bool Stitcher::LongEnough(size_t from, size_t start, size_t length) const {
  if (from > 0) return length >= (start == 0 ? kWholeBytes : kManyBytes);
  if (dangling_ > 0 && start == had_.text.size() - dangling_) return true;
  const bool instructed = side_ != Continuation::kExact;
  if (instructed && start == 0) return true;
  return length >= kFewBytes || WordsFrom(start) >= kFewWords;
}

// What was repeated must end where a word ends, or "cat" would be found in "category".
bool Stitcher::EndsWord(size_t canonical_end, bool at_end, bool* not_yet) const {
  if (dangling_ > 0 || !IsWordByte(had_.text.back())) return true;
  const size_t end = got_.ends[canonical_end - 1];
  if (end == waiting_.size()) {
    *not_yet = !at_end;
    return at_end;
  }
  return !IsWordByte(waiting_[end]) || WordCut(waiting_, end) == end;
}

// A fence that is opened a second time is known by its first line only.
bool Stitcher::FenceUndecided() const {
  if (!fence_) return false;
  const size_t at = waiting_.find_first_not_of("\r\n");
  if (at == std::string::npos) return true;
  const std::string_view line = std::string_view(waiting_).substr(at);
  if (line.size() < kFence.size()) return StartsWith(kFence, line);
  return StartsWith(line, kFence) && line.find('\n') == std::string_view::npos;
}

std::string Stitcher::Join(std::string_view rest, bool overlapped) {
  if (side_ == Continuation::kExact && !overlapped) {
    return fence_ ? JoinInFence(rest) : std::string(rest);
  }
  if (IsSpace(released_.back())) {
    while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
    trim_ = rest.empty();
  }
  if (overlapped) return std::string(rest);
  if (fence_) return JoinInFence(rest);
  return NeedsSpace(released_, rest) ? " " + std::string(rest) : std::string(rest);
}

std::string Stitcher::JoinInFence(std::string_view rest) const {
  const size_t at = rest.find_first_not_of("\r\n");
  if (at == std::string_view::npos) return std::string(rest);
  const std::string_view line = rest.substr(at, rest.find('\n', at) - at);
  if (StartsWith(line, kFence) && line.size() > kFence.size()) {
    // It opens the fence that is open already: its line goes, the line break before the code stays.
    const std::string_view code = rest.substr(std::min(rest.size(), at + line.size()));
    return released_.back() == '\n' && !code.empty() ? std::string(code.substr(1))
                                                     : std::string(code);
  }
  const size_t fence = rest.find("\n```", at);
  const bool opens =
      fence != std::string_view::npos && fence + 4 < rest.size() && !IsSpace(rest[fence + 4]);
  if (side_ != Continuation::kExact && opens) {
    // It speaks as from outside of the fence: the open one ends before it begins.
    return (released_.back() == '\n' ? "```\n\n" : "\n```\n\n") + std::string(rest.substr(at));
  }
  return std::string(rest);
}

std::string Stitcher::Pass(std::string out) {
  if (trim_ && !out.empty()) {
    out.erase(0, std::min(out.find_first_not_of(" \t"), out.size()));
    trim_ = out.empty();
  }
  passed_ += out;
  return out;
}

}  // namespace nearfar::internal
