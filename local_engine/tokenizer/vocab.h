// A checked byte-level vocabulary: token bytes, merges and special tokens.
//
// GGUF files write token texts in the alphabet of GPT-2, where each byte is one printable
// character; here they are bytes again. Held by tests/local_engine/tokenizer/vocab_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_TOKENIZER_VOCAB_H_
#define NEARFAR_LOCAL_ENGINE_TOKENIZER_VOCAB_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace nearfar {

// Real vocabularies have up to a quarter of this; the other parts of an engine count with it too.
inline constexpr int64_t kMaxVocabulary = 1 << 20;
// Of a token that is found by its whole text; the longest of real files have about twenty.
inline constexpr size_t kMaxSpecialBytes = 256;

// Numbers as in tokenizer.ggml.token_type.
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// A vocabulary as a file gives it; the texts are borrowed until Vocab::Create returns. Comments
// name the keys, which also stand in the messages.
struct VocabSource {
  std::vector<std::string_view> tokens;  // tokenizer.ggml.tokens
  std::vector<int64_t> types;            // tokenizer.ggml.token_type; empty = all normal
  std::vector<std::string_view> merges;  // tokenizer.ggml.merges: "left right", best first
  int64_t begin_id = -1;                 // tokenizer.ggml.bos_token_id, -1 = none
  int64_t end_id = -1;                   // tokenizer.ggml.eos_token_id
  int64_t end_of_turn_id = -1;           // tokenizer.ggml.eot_token_id
  bool adds_begin = false;               // tokenizer.ggml.add_bos_token
};

// Immutable, thread-safe. Owns all that it returns.
class Vocab {
 public:
  struct Merge {
    int32_t rank;    // the smaller, the sooner
    int32_t result;  // id of the joined token
  };

  // A token that prompts are built with or that ends the model's turn (the ids of the source, and
  // the usual texts such as "<|im_start|>") is control, whatever type the file gives it: no plain
  // text may become one, and merges that would make one are left out.
  // InvalidArgument, naming key and index: no tokens or too many, a token twice, arrays of
  // different lengths, an unknown type, a special text of more than kMaxSpecialBytes, a merge that
  // is not two normal tokens joined to a third, a special id outside the vocabulary.
  static absl::StatusOr<Vocab> Create(const VocabSource& source);

  int size() const { return static_cast<int>(types_.size()); }
  TokenType type(int32_t id) const { return types_[id]; }
  // What the token says: bytes of a normal token, the text of a user-defined one, else nothing.
  std::string_view Bytes(int32_t id) const;
  // The token that is this one byte, or -1: small vocabularies lack some.
  int32_t ByteToken(uint8_t byte) const { return byte_tokens_[byte]; }
  // The normal token of exactly these bytes, or -1.
  int32_t FindNormal(std::string_view bytes) const;
  // nullptr if the two are not merged.
  const Merge* FindMerge(int32_t left, int32_t right) const;

  // Tokens found in a text by their whole text: user-defined ones, and control and unknown ones.
  struct Special {
    std::string text;
    int32_t id;
    bool plain;  // user-defined: an ordinary word of the vocabulary, found in any text
  };
  absl::Span<const Special> specials() const { return specials_; }
  int32_t FindControl(std::string_view text) const;  // a special that is not plain, or -1

  bool IsEndOfText(int32_t id) const;
  int32_t begin_id() const { return begin_id_; }  // -1 where prompts begin with none

 private:
  using TextIndex = absl::flat_hash_map<std::string_view, int32_t>;

  Vocab() = default;
  absl::Status AddSpecialIds(const VocabSource& source);
  absl::Status AddTokens(const VocabSource& source, TextIndex* index);
  TokenType TypeOf(std::string_view text, const VocabSource& source) const;
  void AddBytes(std::string_view text, TokenType type);
  void IndexTokens();
  absl::Status AddMerges(const VocabSource& source, const TextIndex& index);

  std::vector<TokenType> types_;
  // The bytes of all tokens, one after another; a heap block of its own, so that views into it stay
  // valid when the vocabulary is moved.
  std::vector<char> bytes_;
  std::vector<uint32_t> ends_;  // of each token in bytes_
  TextIndex normal_;            // views into bytes_
  std::array<int32_t, 256> byte_tokens_{};
  absl::flat_hash_map<uint64_t, Merge> merges_;  // left << 32 | right
  std::vector<Special> specials_;
  std::vector<int32_t> end_ids_;  // ascending
  int32_t begin_id_ = -1;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_TOKENIZER_VOCAB_H_
