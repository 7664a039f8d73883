// See release.h.

#include "router/internal/release.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace nearfar::internal {
namespace {

constexpr std::string_view kFence = "```";
constexpr size_t kMostFenceIndent = 3;  // CommonMark 0.30, section 4.5

bool IsSpace(char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); }

// Scripts that write words without spaces between them: Thai to Tibetan, Khmer, Kana, Han, and
// their full-width punctuation.
bool IsUnspaced(char32_t c) {
  return (c >= 0x0E00 && c <= 0x0FFF) || (c >= 0x1000 && c <= 0x109F) ||
         (c >= 0x1780 && c <= 0x17FF) || (c >= 0x3000 && c <= 0x30FF) ||
         (c >= 0x3400 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0xFF00 && c <= 0xFFEF) || (c >= 0x20000 && c <= 0x3FFFF);
}

// The code point before `at`, a boundary > 0 of valid text.
char32_t Before(std::string_view text, size_t at) {
  size_t start = at - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return FirstCodePoint(text.substr(start)).value;
}

bool IsBoundary(std::string_view text, size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

bool IsWordEnd(std::string_view text, size_t at) {
  if (!IsBoundary(text, at) || IsSpace(text[at - 1])) return false;
  if (IsSpace(text[at])) return true;
  return IsUnspaced(Before(text, at)) || IsUnspaced(FirstCodePoint(text.substr(at)).value);
}

}  // namespace

size_t WordCut(std::string_view text, size_t limit) {
  for (size_t at = std::min(limit, text.size()); at > 0; --at) {
    if (IsWordEnd(text, at)) return at;
  }
  return 0;
}

size_t OpenFence(std::string_view text) {
  size_t open = std::string_view::npos;
  size_t line = 0;
  while (line < text.size()) {
    const size_t indent = text.find_first_not_of(' ', line);
    if (indent != std::string_view::npos && indent - line <= kMostFenceIndent &&
        text.substr(indent, kFence.size()) == kFence) {
      open = open == std::string_view::npos ? line : std::string_view::npos;
    }
    const size_t end = text.find('\n', line);
    if (end == std::string_view::npos) break;
    line = end + 1;
  }
  return open;
}

bool LooksLikeJson(std::string_view text) {
  size_t at = text.find_first_not_of(" \t\r\n");
  if (at == std::string_view::npos) return false;
  if (text.substr(at, kFence.size()) == kFence) {
    at = text.find('\n', at);
    if (at == std::string_view::npos) return false;
    at = text.find_first_not_of(" \t\r\n", at);
    if (at == std::string_view::npos) return false;
  }
  return text[at] == '{' || text[at] == '[';
}

void ReleaseBuffer::Add(std::string_view piece, int tokens) {
  text_ += joiner_.Add(piece);
  token_ends_.insert(token_ends_.end(), std::max(tokens, 0), text_.size());
}

void ReleaseBuffer::Finish() { text_ += joiner_.Finish(); }

size_t ReleaseBuffer::Limit() const {
  size_t limit = text_.size();
  if (mode_ == Release::kJudged) return 0;
  if (mode_ == Release::kConfident) {
    const size_t behind = static_cast<size_t>(std::max(hold_back_, 0));
    if (!open_ || token_ends_.size() <= behind) return 0;
    limit = behind == 0 ? limit : token_ends_[token_ends_.size() - 1 - behind];
    if (seams_ == Seams::kBlocks) {
      if (LooksLikeJson(text_)) return 0;
      limit = std::min(limit, OpenFence(std::string_view(text_).substr(0, limit)));
    }
  }
  return seams_ == Seams::kNone ? limit : WordCut(text_, limit);
}

std::string ReleaseBuffer::Take() {
  const size_t limit = Limit();
  if (limit <= released_) return {};
  std::string out = text_.substr(released_, limit - released_);
  released_ = limit;
  return out;
}

std::string ReleaseBuffer::TakeAll() {
  std::string out = text_.substr(released_);
  released_ = text_.size();
  return out;
}

int ReleaseBuffer::unreleased_tokens() const {
  auto first = std::upper_bound(token_ends_.begin(), token_ends_.end(), released_);
  return static_cast<int>(token_ends_.end() - first);
}

}  // namespace nearfar::internal
