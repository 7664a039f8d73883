// Finds the tokens that are written out as a whole ("<|im_start|>") in a text.
// Held by tests/local_engine/tokenizer/special_tokens_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_TOKENIZER_SPECIAL_TOKENS_H_
#define NEARFAR_LOCAL_ENGINE_TOKENIZER_SPECIAL_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "local_engine/tokenizer/vocab.h"

namespace nearfar {

struct SpecialMatch {
  size_t begin;  // in bytes
  size_t end;
  int32_t id;
};

// Immutable, thread-safe. `vocab` is not kept.
class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocab& vocab);

  // What is found in `text`, ascending and without overlap: the longest tokens first, and among
  // equal ones from left to right. Control and unknown tokens only if parse_special; user-defined
  // ones always. Linear in the text, times the longest special token.
  std::vector<SpecialMatch> Find(std::string_view text, bool parse_special) const;

 private:
  // One character of the tokens' texts; a trie whose children are a list of siblings.
  struct Node {
    char c = 0;
    int32_t child = -1;
    int32_t sibling = -1;
    int32_t id = -1;  // the token that ends here
    bool plain = false;
  };

  void Add(const Vocab::Special& special);
  int32_t Child(int32_t node, char c) const;
  void MatchAt(std::string_view text, size_t at, bool parse_special,
               std::vector<SpecialMatch>* matches) const;

  std::vector<Node> nodes_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_TOKENIZER_SPECIAL_TOKENS_H_
