// All occurrences by a trie, then the choice among those that overlap.

#include "local_engine/tokenizer/special_tokens.h"

#include <algorithm>
#include <tuple>

namespace nearfar {
namespace {

// Takes matches in order, each if it touches none taken before.
std::vector<SpecialMatch> WithoutOverlap(const std::vector<SpecialMatch>& matches, size_t size) {
  std::vector<bool> taken(matches.empty() ? 0 : size);
  std::vector<SpecialMatch> chosen;
  for (const SpecialMatch& match : matches) {
    const auto begin = taken.begin() + match.begin;
    const auto end = taken.begin() + match.end;
    if (std::find(begin, end, true) != end) continue;
    std::fill(begin, end, true);
    chosen.push_back(match);
  }
  return chosen;
}

}  // namespace

SpecialTokens::SpecialTokens(const Vocab& vocab) : nodes_(1) {
  for (const Vocab::Special& special : vocab.specials()) Add(special);
}

void SpecialTokens::Add(const Vocab::Special& special) {
  int32_t node = 0;
  for (const char c : special.text) {
    int32_t child = Child(node, c);
    if (child < 0) {
      child = static_cast<int32_t>(nodes_.size());
      nodes_.push_back({c, -1, nodes_[node].child, -1, false});
      nodes_[node].child = child;
    }
    node = child;
  }
  nodes_[node].id = special.id;
  nodes_[node].plain = special.plain;
}

int32_t SpecialTokens::Child(int32_t node, char c) const {
  int32_t child = nodes_[node].child;
  while (child >= 0 && nodes_[child].c != c) child = nodes_[child].sibling;
  return child;
}

void SpecialTokens::MatchAt(std::string_view text, size_t at, bool parse_special,
                            std::vector<SpecialMatch>* matches) const {
  int32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    node = Child(node, text[i]);
    if (node < 0) return;
    const Node& here = nodes_[node];
    if (here.id >= 0 && (here.plain || parse_special)) matches->push_back({at, i + 1, here.id});
  }
}

std::vector<SpecialMatch> SpecialTokens::Find(std::string_view text, bool parse_special) const {
  std::vector<SpecialMatch> matches;
  for (size_t at = 0; at < text.size(); ++at) MatchAt(text, at, parse_special, &matches);
  std::sort(matches.begin(), matches.end(), [](const SpecialMatch& a, const SpecialMatch& b) {
    return std::make_tuple(b.end - b.begin, a.id, a.begin) <
           std::make_tuple(a.end - a.begin, b.id, b.begin);
  });
  matches = WithoutOverlap(matches, text.size());
  std::sort(matches.begin(), matches.end(),
            [](const SpecialMatch& a, const SpecialMatch& b) { return a.begin < b.begin; });
  return matches;
}

}  // namespace nearfar
