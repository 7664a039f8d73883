// Finds the tokens that are written out as a whole ("<|im_start|>") in a text.
// Held by tests/local_engine/tokenizer/special_tokens_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_TOKENIZER_SPECIAL_TOKENS_H_
#define NEARFAR_LOCAL_ENGINE_TOKENIZER_SPECIAL_TOKENS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "local_engine/tokenizer/vocab.h"

namespace nearfar {

struct SpecialMatch {
  size_t begin;  // in bytes
  size_t end;
  int32_t id;
};

// A set of token texts. Immutable, thread-safe.
class SpecialTexts {
 public:
  explicit SpecialTexts(std::vector<Vocab::Special> specials);

  // What is found in `text`, ascending and without overlap: the longest tokens first, among equally
  // long ones the lower id, and of one token from left to right. Holds at most one candidate for
  // each byte of the text at a time, and takes at most kMaxSpecialBytes steps for it.
  std::vector<SpecialMatch> Find(std::string_view text) const;

 private:
  struct Entry {
    std::string text;
    int32_t id;
    int32_t shorter;  // the longest entry that this text begins with, or -1
  };
  struct Range {
    int32_t first = 0;
    int32_t last = 0;  // one past it
  };
  struct Candidate {
    size_t begin;
    int32_t entry;
  };

  // The entries of `range`, which share `depth` bytes and are longer, that go on with `c`.
  Range GoOn(Range range, size_t depth, char c) const;
  // The longest entry that `text` begins with, or -1.
  int32_t LongestAt(std::string_view text) const;

  std::vector<Entry> entries_;  // ascending by text
  std::array<Range, 256> by_first_byte_{};
  size_t longest_ = 0;  // bytes
};

// Immutable, thread-safe. `vocab` is not kept.
class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocab& vocab);

  // Control and unknown tokens only if parse_special; user-defined ones always.
  std::vector<SpecialMatch> Find(std::string_view text, bool parse_special) const {
    return (parse_special ? all_ : plain_).Find(text);
  }

 private:
  const SpecialTexts all_;
  const SpecialTexts plain_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_TOKENIZER_SPECIAL_TOKENS_H_
