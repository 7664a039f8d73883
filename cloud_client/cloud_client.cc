#include "cloud_client/cloud_client.h"

#include <utility>

#include "cloud_client/stub/make_stub.h"

namespace nearfar {
namespace {

// Hands the stub's events to the application's sink.
class OuterSink final : public StubSink {
 public:
  explicit OuterSink(std::shared_ptr<CloudSink> sink) : sink_(std::move(sink)) {}
  void OnStarted(const CloudStarted& event) override { sink_->OnStarted(event); }
  void OnDelta(const std::string& text) override { sink_->OnDelta(text); }
  void OnFinished(const CloudFinished& event) override { sink_->OnFinished(event); }
  void OnError(const StubError& event) override { sink_->OnError(event.error); }

 private:
  const std::shared_ptr<CloudSink> sink_;
};

class StackedClient final : public CloudClient {
 public:
  explicit StackedClient(StubStack stack) : stack_(std::move(stack)) {}

  std::unique_ptr<CloudCall> Start(CloudRequest request, absl::Time deadline,
                                   std::shared_ptr<CloudSink> sink) override {
    StubRequest stub_request;
    stub_request.call = std::move(request);
    stub_request.deadline = deadline;
    return stack_.top->Start(stub_request, std::make_shared<OuterSink>(std::move(sink)));
  }

  CloudHealth health() const override {
    const MeterReading reading = stack_.meter->Read();
    CloudHealth health;
    health.calls = reading.calls;
    health.failures = reading.failures;
    health.retries = stack_.retries->load(std::memory_order_relaxed);
    health.ttft_seconds = reading.ttft_seconds;
    health.tokens_per_second = reading.tokens_per_second;
    health.billed_usd = reading.billed_usd;
    switch (stack_.breaker->state()) {
      case Breaker::State::kOpen:
        health.state = CloudHealth::State::kBreakerOpen;
        break;
      case Breaker::State::kHalfOpen:  // a call is wanted, as the probe
        health.state = CloudHealth::State::kUnknown;
        break;
      case Breaker::State::kClosed:
        if (reading.last_call_succeeded) health.state = CloudHealth::State::kHealthy;
        break;
    }
    return health;
  }

  absl::StatusOr<CloudModel> GetModel(absl::Time deadline) override {
    StubRequest request;
    request.deadline = deadline;
    return stack_.top->GetModel(request);
  }

  std::optional<CloudModel> known_model() const override { return stack_.meter->Read().model; }

 private:
  const StubStack stack_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<CloudClient>> CloudClient::Create(CloudOptions options) {
  absl::StatusOr<StubStack> stack = MakeStub(options);
  if (!stack.ok()) return stack.status();
  return std::make_shared<StackedClient>(*std::move(stack));
}

}  // namespace nearfar
