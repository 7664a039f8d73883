// One conversation with an engine.
//
// The application owns the history: every request carries the whole prompt as token ids, and the
// session's KV cache is only a prefix-matched cache of it (a common prefix with the last request is
// reused, the rest is recomputed). Session methods enqueue work for the engine's scheduler thread
// and return at once; nothing is computed on the caller's thread.
//
// Thread-safety: all methods are thread-safe. Held by tests/local_engine/session_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_SESSION_H_
#define NEARFAR_LOCAL_ENGINE_SESSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "local_engine/sampling_options.h"
#include "local_engine/token.h"

namespace nearfar {

struct GenerateRequest {
  std::vector<int32_t> prompt;  // the whole history, at least one id
  int max_tokens = 256;         // >= 1; clipped to what the context still holds
  SamplingOptions sampling = {};
  // Generation ends before the first of these, which is never in the text. At most kMostStops, each
  // of at most kMostStopBytes.
  std::vector<std::string> stop = {};
};

enum class StopReason {
  kEndOfText,    // the model ended its turn
  kStopString,   // one of GenerateRequest::stop was reached
  kMaxTokens,    // max_tokens were generated
  kContextFull,  // no room is left in the KV cache
  kCancelled,    // Cancel() or the session's destruction
  kError,        // see GenerateResult::status
};
const char* StopReasonName(StopReason reason);

struct GenerateResult {
  StopReason reason = StopReason::kError;
  absl::Status status;        // OK unless reason is kError
  int prompt_tokens = 0;      // length of the prompt
  int reused_tokens = 0;      // of those, taken from the KV cache
  int completion_tokens = 0;  // tokens generated, the end-of-turn token not counted
  double prefill_seconds = 0;
  double decode_seconds = 0;
};

// Receives one generation. All calls come from the engine's scheduler thread, in order: OnPrefill
// at most once, OnToken any number of times, OnDone exactly once and last. Calls must not block,
// nor wait for another generation; they may call Session::Cancel, destroy sessions, and from OnDone
// ask for the next generation.
//
// OnToken comes once for every generated token, in order. Tokens whose text is held back (an
// incomplete code point, a possible stop string) wait for each other and come together, the text on
// the last of them, at the latest when the generation ends: the texts concatenated are the answer.
// Those of a stop string come with what stood before it. After Cancel nothing more is delivered.
// The end-of-text token never is.
class GenerateSink {
 public:
  virtual ~GenerateSink() = default;
  // The prompt is in the KV cache; `reused` of its tokens had been there already.
  virtual void OnPrefill(int prompt_tokens, int reused) {}
  virtual void OnToken(const Token& token) = 0;
  virtual void OnDone(const GenerateResult& result) = 0;
};

class Session {
 public:
  // Cancels what runs, and frees the slot and the KV cache. Where this was the last of the engine's
  // handles, the engine ends with it: see Engine.
  virtual ~Session() = default;

  // Enqueues one generation. `sink` is kept alive until OnDone has returned.
  // Errors: InvalidArgument (empty prompt, an id outside the vocabulary, an option or a stop string
  // beyond its limits), FailedPrecondition (a generation of this session has not finished),
  // OutOfRange (the prompt is longer than the context). On error the sink is never called.
  virtual absl::Status Generate(GenerateRequest request, std::shared_ptr<GenerateSink> sink) = 0;

  // Ends the generation, if any, running or not yet begun: polled at least once a layer, whosever
  // layer that is, so nothing more than the layer in work is computed. OnDone follows with
  // kCancelled.
  virtual void Cancel() = 0;

  // Number of tokens whose keys and values are cached.
  virtual int cached_tokens() const = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_SESSION_H_
