// One far call as plain values: what is asked, what is heard back, and the handle that cancels it.
// A file of its own so that the decorators of stub/ see these types and not the client above them.
// Leaks no gRPC or protobuf type. Held by tests/cloud_client/.

#ifndef NEARFAR_CLOUD_CLIENT_CALL_H_
#define NEARFAR_CLOUD_CLIENT_CALL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nearfar {

struct CloudMessage {
  std::string role;
  std::string content;
};

struct CloudRequest {
  std::string request_id;
  std::string session_key;
  std::vector<CloudMessage> messages;
  float temperature = 0;
  int top_k = 0;
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;
  uint64_t seed = 0;
  int max_tokens = 256;
  std::vector<std::string> stop;
  bool json = false;
  std::string assistant_prefix;
};

struct CloudStarted {
  std::string model;
  std::string fingerprint;
  int64_t prompt_tokens = 0;
};

enum class CloudFinishReason { kStop, kLength, kContentFilter, kToolCalls };

struct CloudFinished {
  CloudFinishReason reason = CloudFinishReason::kStop;
  // All 0 where the server told no usage, or one that the streamed text disproves.
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_prompt_tokens = 0;
  std::optional<double> bill_usd;  // the server's own; empty = it keeps none
};

enum class CloudErrorKind {
  kUnavailable,
  kBreakerOpen,
  kDeadline,
  kCancelled,
  kAuth,
  kBadRequest,
  kNotFound,
  kContextTooLong,
  kRateLimited,
  kQuota,
  kContentFiltered,
  kProtocol,
  kInternal,
};

const char* CloudErrorKindName(CloudErrorKind kind);  // "unavailable", "breaker_open", ...

struct CloudError {
  CloudErrorKind kind = CloudErrorKind::kInternal;
  std::string message;        // for people; no prompt text, no secret
  bool maybe_billed = false;  // the server may have begun to work
  bool nothing_sent = false;  // known: no byte of the request left, in any attempt
};

// As router/backend.h: OnStarted at most once, OnDelta any number of times, then exactly one of
// OnFinished or OnError, last. One call at a time, from gRPC's threads; must not block.
class CloudSink {
 public:
  virtual ~CloudSink() = default;
  virtual void OnStarted(const CloudStarted& event) {}
  virtual void OnDelta(const std::string& text) = 0;
  virtual void OnFinished(const CloudFinished& event) = 0;
  virtual void OnError(const CloudError& event) = 0;
};

class CloudCall {
 public:
  virtual ~CloudCall() = default;  // cancels
  virtual void Cancel() = 0;       // thread-safe, idempotent
  // As Cancel, because time is up: the far side's silence is held against it (the breaker).
  virtual void Abandon() { Cancel(); }
};

struct CloudModel {
  std::string model, fingerprint, quantization;
  int64_t context_tokens = 0;
  double input_usd_per_mtok = 0, output_usd_per_mtok = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_CALL_H_
