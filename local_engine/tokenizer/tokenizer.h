// Text to token ids and back. Immutable and thread-safe; linear time in the text.
// Held by tests/local_engine/tokenizer/.

#ifndef NEARFAR_LOCAL_ENGINE_TOKENIZER_TOKENIZER_H_
#define NEARFAR_LOCAL_ENGINE_TOKENIZER_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "local_engine/gguf/gguf_file.h"

namespace nearfar {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual int vocabulary() const = 0;
  // Appends the ids of `text`. The text of a special token (control, unknown) is plain text unless
  // parse_special; a user-defined token is an ordinary word of the vocabulary and always found.
  // Bytes that are not UTF-8 are tokenised as bytes. Nothing is dropped but bytes for which the
  // vocabulary has no token (SmolLM2's lacks a few control characters).
  virtual void Encode(std::string_view text, bool parse_special,
                      std::vector<int32_t>* ids) const = 0;
  // The bytes of one token (a token may hold part of a code point); empty for special tokens.
  virtual std::string_view Bytes(int32_t id) const = 0;
  // The id of a control or unknown token by its text, or -1: no plain text is encoded as one.
  virtual int32_t FindControl(std::string_view text) const = 0;
  // True for a token that ends the model's turn (end of sequence, end of turn).
  virtual bool IsEndOfText(int32_t id) const = 0;
  // The id that begins every prompt, or -1 where the model uses none.
  virtual int32_t begin_id() const = 0;
};

// Makes the tokenizer that a file's metadata asks for (tokenizer.ggml.model and .pre).
// Errors: InvalidArgument (vocabulary and merges do not fit), Unimplemented (a kind not known here;
// the message names it and lists the known ones).
absl::StatusOr<std::unique_ptr<const Tokenizer>> MakeTokenizer(const GgufFile& file);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_TOKENIZER_TOKENIZER_H_
