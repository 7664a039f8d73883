// One generation of a session: its tokens so far, and the way from logits to what the sink
// receives.
//
// A token is handed to the sink as soon as none of its text is held back. While a code point or a
// possible stop string is incomplete the tokens wait, and are then delivered together, the text on
// the last of them: so every generated token is delivered once, and no text is left without one.
// Internal to local_engine. Held by tests/local_engine/session_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_GENERATION_H_
#define NEARFAR_LOCAL_ENGINE_GENERATION_H_

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "local_engine/sampling/sampler.h"
#include "local_engine/sampling/text_stream.h"
#include "local_engine/sampling/token_stats.h"
#include "local_engine/session.h"
#include "local_engine/tokenizer/tokenizer.h"

namespace nearfar {

// Cancel and cancelled are thread-safe; all else is for the scheduler thread alone.
class Generation {
 public:
  // `request` has been checked; `context` is the number of positions of the session's KV cache.
  Generation(GenerateRequest request, std::shared_ptr<GenerateSink> sink,
             const Tokenizer& tokenizer, int context);

  void Cancel() { cancelled_.store(true, std::memory_order_release); }
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

  // The prompt, followed by what was generated.
  const std::vector<int32_t>& tokens() const { return tokens_; }
  int prompt_tokens() const { return result_.prompt_tokens; }

  // Computation starts; `reused` tokens of the prompt are in the KV cache already.
  void Begin(int reused);

  // Picks the next token from the logits behind the last of tokens(), [vocabulary], and their
  // statistics, and delivers it. Returns why the generation ends, if it does.
  std::optional<StopReason> Take(absl::Span<const float> logits, const LogitStats& stats);

  // Delivers the tokens that still wait, unless cancelled. `status` describes a kError that did not
  // come from Take.
  void Close(StopReason reason, absl::Status status = absl::OkStatus());

  // Calls the sink's OnDone and lets go of the sink. After Close, once.
  void Announce();

 private:
  using Clock = std::chrono::steady_clock;

  void PrefillDone();
  void Append(int32_t id, const LogitStats& stats, float logit);
  void Deliver();

  const Tokenizer& tokenizer_;
  const int context_;
  const int max_tokens_;
  std::shared_ptr<GenerateSink> sink_;
  std::atomic<bool> cancelled_{false};

  std::vector<int32_t> tokens_;
  std::vector<Token> waiting_;  // generated, not yet delivered
  Sampler sampler_;
  TextStream text_;
  GenerateResult result_;
  std::optional<Clock::time_point> begun_;
  std::optional<Clock::time_point> prefilled_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_GENERATION_H_
