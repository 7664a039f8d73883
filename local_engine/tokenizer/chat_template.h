// The chat formats of the model families that the engine knows, as data: what is written before and
// after each turn. A template text inside a file is never executed; it is recognised, or refused.
// Held by tests/local_engine/tokenizer/chat_template_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_TOKENIZER_CHAT_TEMPLATE_H_
#define NEARFAR_LOCAL_ENGINE_TOKENIZER_CHAT_TEMPLATE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "local_engine/gguf/gguf_file.h"
#include "local_engine/tokenizer/tokenizer.h"

namespace nearfar {

struct TemplateTurn {
  std::string_view role;     // "system", "user", "assistant", "tool"
  std::string_view content;  // always tokenised as plain text
};

// Immutable, thread-safe.
class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  virtual std::string_view name() const = 0;
  // Ids of the conversation up to and including the opening of the assistant's turn, followed by
  // those of `assistant_prefix`, encoded by itself as if the model had said it. Special tokens are
  // written by id; no text of a turn becomes one. Errors: InvalidArgument (no turn, unknown role).
  virtual absl::StatusOr<std::vector<int32_t>> Encode(absl::Span<const TemplateTurn> turns,
                                                      std::string_view assistant_prefix) const = 0;
};

// Recognises the text of a chat template (a Jinja program, as in tokenizer.chat_template) by what
// it writes. `tokenizer` must outlive the result. Errors: Unimplemented (no known family fits; the
// message lists them), InvalidArgument (the vocabulary lacks a token that the template writes).
absl::StatusOr<std::unique_ptr<const ChatTemplate>> RecogniseChatTemplate(
    std::string_view text, const Tokenizer& tokenizer);

// Recognises the file's chat template by its text and model family. `tokenizer` must outlive the
// result. Unimplemented if no known template fits.
absl::StatusOr<std::unique_ptr<const ChatTemplate>> MakeChatTemplate(const GgufFile& file,
                                                                     const Tokenizer& tokenizer);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_TOKENIZER_CHAT_TEMPLATE_H_
