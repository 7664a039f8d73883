// The one interface that every layer of a far call shares: the protocol at the bottom and the
// decorators (auth, breaker, retry, metering) above it, stacked in make_stub.cc. A decorator adds
// one concern and forwards the rest. All implementations are thread-safe. Held by the tests of each
// decorator in tests/cloud_client/stub/.

#ifndef NEARFAR_CLOUD_CLIENT_STUB_STUB_H_
#define NEARFAR_CLOUD_CLIENT_STUB_STUB_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cloud_client/call.h"

namespace nearfar {

struct StubRequest {
  CloudRequest call;
  absl::Time deadline = absl::InfiniteFuture();
  // Sent with the call; keys are lower case. May hold secrets: never printed.
  std::vector<std::pair<std::string, std::string>> metadata;
};

struct StubError {
  CloudError error;
  // The same call may succeed in a moment: nothing was delivered or billed, and the server said so
  // or was not there.
  bool retryable = false;
  // The server's own wish for the time before the next try; negative = never.
  std::optional<absl::Duration> push_back;
  // The server itself spoke: it is alive, whatever it said. A failure that is not an answer counts
  // against the breaker.
  bool answered = false;
};

// As CloudSink: OnStarted at most once, OnDelta any number of times, then exactly one terminal,
// last; one at a time, never blocking, possibly from within Start.
class StubSink {
 public:
  virtual ~StubSink() = default;
  virtual void OnStarted(const CloudStarted& event) = 0;
  virtual void OnDelta(const std::string& text) = 0;
  virtual void OnFinished(const CloudFinished& event) = 0;
  virtual void OnError(const StubError& event) = 0;
};

class CloudStub {
 public:
  virtual ~CloudStub() = default;
  // Never blocks. The sink is kept until its terminal event has returned; the call keeps what it
  // needs of the stub alive.
  virtual std::unique_ptr<CloudCall> Start(const StubRequest& request,
                                           std::shared_ptr<StubSink> sink) = 0;
  // What the server runs. Blocks until request.deadline; request.call is not looked at.
  virtual absl::StatusOr<CloudModel> GetModel(const StubRequest& request) = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_STUB_STUB_H_
