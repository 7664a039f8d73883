// What of a near answer may reach the app, and when: the stream contract's three modes.
//
//   judged     nothing before Accept
//   confident  nothing before Open; then always hold_back tokens behind what is written
//   immediate  everything, at once
//
// While a far side may still take over (`seams`), text is released up to the end of a word only, so
// that a handover never cuts one, and, where the far side is merely instructed to continue, never
// from inside an open code fence. Text that leaves is valid UTF-8. One caller at a time. Held by
// tests/router/internal/release_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_RELEASE_H_
#define NEARFAR_ROUTER_INTERNAL_RELEASE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "policies/policy_config.h"
#include "router/internal/utf8.h"

namespace nearfar::internal {

// The longest prefix of text[0, limit) that ends at the end of a word: before white space, or
// beside a character of a script that is written without spaces (Han, Kana, Thai, ...).
size_t WordCut(std::string_view text, size_t limit);

// Byte offset of the line that opened the code fence (```) that is still open; npos = none is.
size_t OpenFence(std::string_view text);

// The text is a JSON document, or a fence that holds one, and no prose.
bool LooksLikeJson(std::string_view text);

// Where a far side may take over from.
enum class Seams {
  kNone,    // nobody takes over
  kWords,   // at the end of a word
  kBlocks,  // at the end of a word outside of code fences and JSON documents
};

class ReleaseBuffer {
 public:
  ReleaseBuffer(Release mode, Seams seams, int hold_back_tokens)
      : mode_(mode), seams_(seams), hold_back_(hold_back_tokens) {}

  // A piece of the answer and the number of tokens it came from.
  void Add(std::string_view piece, int tokens);
  // The answer is complete: what waited for the rest of a code point is settled.
  void Finish();

  // P(accept) reached release_at.
  void Open() { open_ = true; }
  // What may go out now and has not yet.
  std::string Take();
  // All that has not gone out yet: the answer is accepted, or nobody can take over any more.
  std::string TakeAll();
  // Everything that went out was taken back.
  void Retracted() { released_ = 0; }

  const std::string& text() const { return text_; }
  size_t released() const { return released_; }
  int tokens() const { return static_cast<int>(token_ends_.size()); }
  // Tokens whose text has gone out, and those whose text has not, or not wholly.
  int released_tokens() const { return tokens() - unreleased_tokens(); }
  int unreleased_tokens() const;

 private:
  size_t Limit() const;

  const Release mode_;
  const Seams seams_;
  const int hold_back_;
  Utf8Joiner joiner_;
  std::string text_;
  std::vector<size_t> token_ends_;  // bytes of text_ after each token
  size_t released_ = 0;
  bool open_ = false;
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_RELEASE_H_
