// Cuts a text into the pieces that byte-pair merges may not cross. What other programs write as a
// list of regular expressions is here a list of passes written by hand: linear time, no recursion.
//
// The variants go by the names that tokenizer.ggml.pre has in GGUF files. Their rules (the regular
// expressions) are those of the models' own tokenizers, as llama.cpp applies them:
// clang-format off
//   gpt-2      's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//   smollm     \p{N} alone, then gpt-2 between them
//   qwen2      (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//   llama-bpe  as qwen2, with \p{N}{1,3}
//   default    [\p{P}$+<=>^~|]+, then gpt-2, then \p{N}+, then [0-9]{3}; each within the pieces of the one before
// clang-format on
// A byte that is not UTF-8 counts as U+FFFD, a symbol. Held by
// tests/local_engine/tokenizer/pretokenizer_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_TOKENIZER_PRETOKENIZER_H_
#define NEARFAR_LOCAL_ENGINE_TOKENIZER_PRETOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "local_engine/tokenizer/unicode.h"

namespace nearfar {

struct PretokenizerChar {
  uint32_t code_point;
  CharClass char_class;
  bool whitespace;
  size_t end;  // in bytes, one past the character
};

// One pass over the characters [begin, end): appends the end of each piece, ascending; the last one
// appended is `end`.
using PretokenizerPass = void (*)(absl::Span<const PretokenizerChar> chars, size_t begin,
                                  size_t end, std::vector<size_t>* ends);

struct Pretokenizer {
  const char* name;         // as in tokenizer.ggml.pre
  bool whole_pieces_first;  // a piece that is a token is taken without merging
  bool adds_begin;          // where the file does not say tokenizer.ggml.add_bos_token
  std::vector<PretokenizerPass> passes;

  // The pieces of `text` in order, as ends in bytes. Their concatenation is the text.
  std::vector<size_t> Split(std::string_view text) const;
};

// Immutable, thread-safe.
absl::Span<const Pretokenizer> AllPretokenizers();
const Pretokenizer* FindPretokenizer(std::string_view name);  // nullptr if not known

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_TOKENIZER_PRETOKENIZER_H_
