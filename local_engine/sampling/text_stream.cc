// An Aho-Corasick automaton over the decoded text. Its depth is the length of the longest suffix
// that could still become a stop string: exactly what has to be held back.

#include "local_engine/sampling/text_stream.h"

#include <cassert>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "local_engine/base/utf8.h"
#include "local_engine/sampling_options.h"

namespace nearfar {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

uint64_t EdgeKey(int32_t node, uint8_t byte) { return static_cast<uint64_t>(node) << 8 | byte; }

}  // namespace

absl::Status CheckStops(absl::Span<const std::string> stop) {
  if (stop.size() > kMostStops) {
    return absl::InvalidArgumentError(
        absl::StrCat("stop: ", stop.size(), " strings, at most ", kMostStops, " are searched for"));
  }
  for (size_t i = 0; i < stop.size(); ++i) {
    if (stop[i].size() <= kMostStopBytes) continue;
    return absl::InvalidArgumentError(absl::StrCat("stop[", i, "]: has ", stop[i].size(),
                                                   " bytes, at most ", kMostStopBytes,
                                                   " are searched for"));
  }
  return absl::OkStatus();
}

TextStream::TextStream(absl::Span<const std::string> stop) : nodes_(1) {
  for (size_t i = 0; i < stop.size(); ++i) {
    if (!stop[i].empty() && IsValidUtf8(stop[i])) AddStop(stop[i], static_cast<int>(i));
  }
  LinkFailures();
}

void TextStream::AddStop(std::string_view stop, int index) {
  int32_t node = 0;
  for (const char c : stop) {
    const int32_t next = static_cast<int32_t>(nodes_.size());
    const auto [edge, is_new] = edges_.try_emplace(EdgeKey(node, static_cast<uint8_t>(c)), next);
    if (is_new) {
      Node child;
      child.depth = nodes_[node].depth + 1;
      nodes_.push_back(child);
    }
    node = edge->second;
  }
  if (nodes_[node].match >= 0) return;  // the same string twice
  nodes_[node].match = index;
  nodes_[node].match_length = nodes_[node].depth;
}

// Breadth first, so that the failure link of a shorter prefix is known before it is needed.
void TextStream::LinkFailures() {
  struct Edge {
    int32_t from;
    uint8_t byte;
    int32_t to;
  };
  std::vector<size_t> place;  // of the next edge of each depth
  for (const Node& node : nodes_) {
    if (place.size() <= static_cast<size_t>(node.depth) + 1) place.resize(node.depth + 2);
    ++place[node.depth + 1];
  }
  --place[1];  // no edge leads to the root
  std::partial_sum(place.begin(), place.end(), place.begin());
  std::vector<Edge> by_depth(edges_.size());
  for (const auto& [key, to] : edges_) {
    by_depth[place[nodes_[to].depth]++] = {static_cast<int32_t>(key >> 8),
                                           static_cast<uint8_t>(key & 0xff), to};
  }
  for (const Edge& edge : by_depth) {
    Node& node = nodes_[edge.to];
    node.fail = edge.from == 0 ? 0 : Next(nodes_[edge.from].fail, edge.byte);
    if (node.match >= 0) continue;
    node.match = nodes_[node.fail].match;
    node.match_length = nodes_[node.fail].match_length;
  }
}

int32_t TextStream::Child(int32_t node, uint8_t byte) const {
  const auto edge = edges_.find(EdgeKey(node, byte));
  return edge == edges_.end() ? -1 : edge->second;
}

int32_t TextStream::Next(int32_t node, uint8_t byte) const {
  while (true) {
    const int32_t child = Child(node, byte);
    if (child >= 0) return child;
    if (node == 0) return 0;
    node = nodes_[node].fail;
  }
}

bool TextStream::Match(std::string_view text) {
  for (const char c : text) {
    held_.push_back(c);
    state_ = Next(state_, static_cast<uint8_t>(c));
    const Node& node = nodes_[state_];
    if (node.match < 0) continue;
    held_.resize(held_.size() - node.match_length);
    matched_ = node.match;
    return false;
  }
  return true;
}

void TextStream::Decode(bool last) {
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Step step = DecodeUtf8(rest);
    if (step.kind == Utf8Kind::kIncomplete && !last) break;
    const std::string_view bytes = rest.substr(0, step.length);
    rest.remove_prefix(step.length);
    if (!Match(step.kind == Utf8Kind::kValid ? bytes : kReplacement)) return;
  }
  pending_.erase(0, pending_.size() - rest.size());
}

std::string TextStream::Release(size_t keep) {
  assert(keep <= held_.size());
  std::string text = held_.substr(0, held_.size() - keep);
  held_.erase(0, text.size());
  return text;
}

std::string TextStream::Push(std::string_view bytes) {
  if (stopped()) return {};
  pending_.append(bytes);
  Decode(/*last=*/false);
  return Release(stopped() ? 0 : nodes_[state_].depth);
}

std::string TextStream::Flush() {
  if (stopped()) return {};
  Decode(/*last=*/true);
  return Release(0);
}

}  // namespace nearfar
