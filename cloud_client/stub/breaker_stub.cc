#include "cloud_client/stub/breaker_stub.h"

#include <utility>

namespace nearfar {
namespace {

// What the end of a call says about the server: an answer of any kind means that it lives; silence
// and broken connections mean that it does not; our own cancel means nothing.
Breaker::Outcome OutcomeOf(const StubError& event) {
  if (event.error.kind == CloudErrorKind::kCancelled) return Breaker::Outcome::kUnknown;
  if (event.answered && event.error.kind != CloudErrorKind::kUnavailable) {
    return Breaker::Outcome::kSuccess;
  }
  return Breaker::Outcome::kFailure;
}

class BreakerSink final : public StubSink {
 public:
  BreakerSink(std::shared_ptr<Breaker> breaker, Breaker::Ticket ticket,
              std::shared_ptr<StubSink> outer)
      : breaker_(std::move(breaker)), ticket_(ticket), outer_(std::move(outer)) {}

  void OnStarted(const CloudStarted& event) override { outer_->OnStarted(event); }
  void OnDelta(const std::string& text) override { outer_->OnDelta(text); }
  void OnFinished(const StubFinished& event) override {
    breaker_->Report(ticket_, Breaker::Outcome::kSuccess);
    outer_->OnFinished(event);
  }
  void OnError(const StubError& event) override {
    breaker_->Report(ticket_, OutcomeOf(event));
    outer_->OnError(event);
  }

 private:
  const std::shared_ptr<Breaker> breaker_;
  const Breaker::Ticket ticket_;
  const std::shared_ptr<StubSink> outer_;
};

class NoCall final : public CloudCall {
 public:
  void Cancel() override {}
};

class BreakerStub final : public CloudStub {
 public:
  BreakerStub(std::shared_ptr<CloudStub> inner, std::shared_ptr<Breaker> breaker)
      : inner_(std::move(inner)), breaker_(std::move(breaker)) {}

  std::unique_ptr<CloudCall> Start(const StubRequest& request,
                                   std::shared_ptr<StubSink> sink) override {
    const Breaker::Ticket ticket = breaker_->Admit();
    if (ticket != Breaker::Ticket::kRefused) {
      return inner_->Start(request,
                           std::make_shared<BreakerSink>(breaker_, ticket, std::move(sink)));
    }
    StubError error;
    error.error.kind = CloudErrorKind::kBreakerOpen;
    error.error.message = "not tried: the last calls failed (the breaker is open)";
    sink->OnError(error);
    return std::make_unique<NoCall>();
  }

  // Asked by people and by checks of the set-up, who want the truth of this moment.
  absl::StatusOr<CloudModel> GetModel(const StubRequest& request) override {
    return inner_->GetModel(request);
  }

 private:
  const std::shared_ptr<CloudStub> inner_;
  const std::shared_ptr<Breaker> breaker_;
};

}  // namespace

std::shared_ptr<CloudStub> MakeBreakerStub(std::shared_ptr<CloudStub> inner,
                                           std::shared_ptr<Breaker> breaker) {
  return std::make_shared<BreakerStub>(std::move(inner), std::move(breaker));
}

}  // namespace nearfar
