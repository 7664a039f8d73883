// All that the router knows of either side. Near and far are both backends; tests use fake ones
// (tests/testing/fake_backend.h). Implementations: local_backend.h, cloud_backend.h.

#ifndef NEARFAR_ROUTER_BACKEND_H_
#define NEARFAR_ROUTER_BACKEND_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "policies/signals.h"
#include "router/query.h"

namespace nearfar {

struct BackendRequest {
  std::string request_id;
  std::string session_key;
  std::vector<Message> messages;
  SamplingParams sampling;
  int max_tokens = 256;
  std::vector<std::string> stop;
  ResponseFormat format = ResponseFormat::kText;
  std::string assistant_prefix;  // the answer continues from here; only what follows is delivered
};

// One generated token's statistics, as local_engine/token.h defines them.
struct TokenStats {
  int32_t id = 0;
  float logprob = 0;
  float entropy = 0;
  float margin = 0;
};

struct BackendStarted {
  std::string model;
  std::string fingerprint;
  int64_t prompt_tokens = 0;
};

struct BackendDelta {
  std::string text;                // may be empty; ends on a code-point boundary
  std::vector<TokenStats> tokens;  // empty where the side does not tell
};

struct BackendFinished {
  FinishReason reason = FinishReason::kStop;
  Usage usage;
  std::optional<double> cost_usd;  // what it says it costs, where it can tell
};

// What went wrong, beyond the status code.
enum class ErrorKind {
  kNone,
  kUnavailable,  // not reachable, or broke before an answer
  kDeadline,
  kCancelled,
  kAuth,
  kBadRequest,
  kNotFound,
  kContextTooLong,
  kRateLimited,
  kQuota,
  kContentFiltered,
  kProtocol,  // it answered something that the protocol does not allow
  kInternal,
};
const char* ErrorKindName(ErrorKind kind);

struct BackendError {
  absl::Status status;
  ErrorKind kind = ErrorKind::kInternal;
  bool maybe_billed = false;  // the side may charge for it: the reservation is spent
  bool nothing_sent = false;  // known: no byte of the request left (an open breaker)
};

// Receives one call. In order: OnStarted at most once, OnDelta any number of times, then exactly
// one of OnFinished or OnError, last. Calls come one at a time from any thread and must not block;
// they may call BackendCall::Cancel.
class BackendSink {
 public:
  virtual ~BackendSink() = default;
  virtual void OnStarted(const BackendStarted& event) {}
  virtual void OnDelta(const BackendDelta& event) = 0;
  virtual void OnFinished(const BackendFinished& event) = 0;
  virtual void OnError(const BackendError& event) = 0;
};

// A running call. Thread-safe. Destroying it cancels, and is allowed within its own callbacks.
class BackendCall {
 public:
  virtual ~BackendCall() = default;
  // OnError with kCancelled follows, unless a terminal event was already under way. Idempotent.
  virtual void Cancel() = 0;
  // As Cancel, because time is up: where this side was silent it may hold that against itself (a
  // breaker).
  virtual void Abandon() { Cancel(); }
};

enum class Continuation { kExact, kInstructed, kNone };

struct BackendCapabilities {
  int64_t context_tokens = 4096;
  bool json = true;
  Continuation continuation = Continuation::kNone;  // what assistant_prefix is worth here
};

struct BackendDescription {
  std::string name;  // "near", or the far target's
  std::string model;
  ModelBinding binding;  // of near; of far only the fingerprint, where it tells one
  BackendCapabilities capabilities;
  double input_usd_per_mtok = 0;
  double output_usd_per_mtok = 0;
};

// Moving averages of what was measured; empty before anything was.
struct BackendSpeed {
  std::optional<double> ttft_seconds;
  std::optional<double> prefill_tokens_per_second;
  std::optional<double> decode_tokens_per_second;
};

// Thread-safe.
class Backend {
 public:
  virtual ~Backend() = default;

  // Starts a call. Never blocks on the network or on computation; a call that cannot start reports
  // through the sink (also from within Start). `sink` is kept until its terminal event returned.
  virtual std::unique_ptr<BackendCall> Start(BackendRequest request, absl::Time deadline,
                                             std::shared_ptr<BackendSink> sink) = 0;
  virtual BackendDescription Describe() const = 0;
  virtual Health health() const = 0;
  virtual BackendSpeed speed() const = 0;
  // Tokens of a conversation in this side's template; empty where it cannot tell cheaply.
  virtual std::optional<int64_t> CountTokens(const std::vector<Message>& messages) const = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_BACKEND_H_
