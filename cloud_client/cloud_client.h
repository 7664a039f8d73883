// One far target: streaming generation with deadline, cancellation, retry, breaker and metering.
// Leaks no gRPC or protobuf type. Thread-safe. Held by tests/cloud_client/.

#ifndef NEARFAR_CLOUD_CLIENT_CLOUD_CLIENT_H_
#define NEARFAR_CLOUD_CLIENT_CLOUD_CLIENT_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cloud_client/call.h"
#include "cloud_client/options.h"

namespace nearfar {

struct CloudHealth {
  enum class State { kUnknown, kHealthy, kBreakerOpen, kUnreachable } state = State::kUnknown;
  int64_t calls = 0, failures = 0, retries = 0;
  std::optional<double> ttft_seconds;       // moving average
  std::optional<double> tokens_per_second;  // moving average
  double billed_usd = 0;                    // by the server's own bills
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
