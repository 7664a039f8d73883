// One far target: streaming generation with deadline, cancellation, retry, breaker and metering.
// Leaks no gRPC or protobuf type. Thread-safe. Held by tests/cloud_client/.

#ifndef NEARFAR_CLOUD_CLIENT_CLOUD_CLIENT_H_
#define NEARFAR_CLOUD_CLIENT_CLOUD_CLIENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cloud_client/options.h"

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
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_prompt_tokens = 0;
  // The bill: the server's own, or else usage times the options' prices.
  double cost_usd = 0;
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
};

struct CloudHealth {
  enum class State { kUnknown, kHealthy, kBreakerOpen, kUnreachable } state = State::kUnknown;
  int64_t calls = 0, failures = 0, retries = 0;
  std::optional<double> ttft_seconds;       // moving average
  std::optional<double> tokens_per_second;  // moving average
  double billed_usd = 0;
};

struct CloudModel {
  std::string model, fingerprint, quantization;
  int64_t context_tokens = 0;
  double input_usd_per_mtok = 0, output_usd_per_mtok = 0;
};

class CloudClient {
 public:
  // Does not connect. Errors: InvalidArgument (unknown protocol, bad target, certificate or key).
  static absl::StatusOr<std::shared_ptr<CloudClient>> Create(CloudOptions options);
  virtual ~CloudClient() = default;

  virtual std::unique_ptr<CloudCall> Start(CloudRequest request, absl::Time deadline,
                                           std::shared_ptr<CloudSink> sink) = 0;
  virtual CloudHealth health() const = 0;
  // Asks the server what it runs; blocks until `deadline`. For `doctor` and for binding checks.
  virtual absl::StatusOr<CloudModel> GetModel(absl::Time deadline) = 0;
  // What GetModel or a call last told; empty before.
  virtual std::optional<CloudModel> known_model() const = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_CLOUD_CLIENT_H_
