#include "policies/detectors/keywords.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "policies/text/code_points.h"
#include "policies/text/scan_text.h"

namespace nearfar {
namespace {

std::string FoldKeyword(std::string_view keyword) {
  std::string folded = FoldText(NormalizeForScan(keyword));
  while (!folded.empty() && folded.back() == ' ') folded.pop_back();
  return folded.substr(std::min(folded.find_first_not_of(' '), folded.size()));
}

// The code point that ends before pos; pos > 0.
char32_t CodePointBefore(std::string_view text, size_t pos) {
  size_t start = pos - 1;
  while (start > 0 && pos - start < 4 && (text[start] & 0xC0) == 0x80) --start;
  return NextCodePoint(text, &start);
}

// Both are parts of words in a script that separates words: no word ends between them.
bool Joined(char32_t a, char32_t b) {
  return IsWordCodePoint(a) && IsWordCodePoint(b) && !IsUnspacedScript(ScriptOf(a)) &&
         !IsUnspacedScript(ScriptOf(b));
}

bool IsEdge(std::string_view text, size_t pos) {
  if (pos == 0 || pos == text.size()) return true;
  size_t next = pos;
  return !Joined(CodePointBefore(text, pos), NextCodePoint(text, &next));
}

}  // namespace

KeywordScanner::KeywordScanner(std::vector<std::string> keywords)
    : keywords_(std::move(keywords)), nodes_(1) {
  for (size_t i = 0; i < keywords_.size(); ++i) {
    const std::string folded = FoldKeyword(keywords_[i]);
    lengths_.push_back(folded.size());
    if (!folded.empty()) Insert(folded, static_cast<int>(i));
  }
  LinkFailures();
}

int32_t KeywordScanner::Child(int32_t node, unsigned char byte) const {
  const auto& next = nodes_[node].next;
  const auto at = std::lower_bound(next.begin(), next.end(), std::make_pair(byte, int32_t{0}));
  return at != next.end() && at->first == byte ? at->second : -1;
}

void KeywordScanner::Insert(std::string_view folded, int keyword) {
  int32_t node = 0;
  for (unsigned char byte : folded) {
    int32_t child = Child(node, byte);
    if (child < 0) {
      child = static_cast<int32_t>(nodes_.size());
      nodes_.emplace_back();
      auto& next = nodes_[node].next;
      next.insert(std::upper_bound(next.begin(), next.end(), std::make_pair(byte, child)),
                  {byte, child});
    }
    node = child;
  }
  nodes_[node].ends.push_back(keyword);
}

int32_t KeywordScanner::Step(int32_t node, unsigned char byte) const {
  while (true) {
    if (const int32_t child = Child(node, byte); child >= 0) return child;
    if (node == 0) return 0;
    node = nodes_[node].fail;
  }
}

void KeywordScanner::LinkFailures() {
  std::deque<int32_t> queue;
  for (const auto& [byte, child] : nodes_[0].next) queue.push_back(child);
  while (!queue.empty()) {
    const int32_t node = queue.front();
    queue.pop_front();
    for (const auto& [byte, child] : nodes_[node].next) {
      const int32_t fail = Step(nodes_[node].fail, byte);
      nodes_[child].fail = fail;
      nodes_[child].output = nodes_[fail].ends.empty() ? nodes_[fail].output : fail;
      queue.push_back(child);
    }
  }
}

std::vector<std::string> KeywordScanner::Find(std::string_view text) const {
  return FindPlain(NormalizeForScan(text));
}

std::vector<std::string> KeywordScanner::FindPlain(std::string_view plain) const {
  if (keywords_.empty()) return {};
  const std::string folded = FoldText(plain);
  std::vector<bool> found(keywords_.size(), false);
  int32_t node = 0;
  for (size_t pos = 0; pos < folded.size(); ++pos) {
    node = Step(node, static_cast<unsigned char>(folded[pos]));
    int32_t at = nodes_[node].ends.empty() ? nodes_[node].output : node;
    for (; at > 0; at = nodes_[at].output) {
      for (int keyword : nodes_[at].ends) {
        if (found[keyword]) continue;
        found[keyword] = IsEdge(folded, pos + 1) && IsEdge(folded, pos + 1 - lengths_[keyword]);
      }
    }
  }
  std::vector<std::string> result;
  for (size_t i = 0; i < keywords_.size(); ++i) {
    if (found[i]) result.push_back(keywords_[i]);
  }
  return result;
}

}  // namespace nearfar
