#include "cloud_client/stub/breaker_stub.h"

#include <atomic>
#include <utility>

namespace nearfar {
namespace {

class BreakerSink final : public StubSink {
 public:
  BreakerSink(std::shared_ptr<Breaker> breaker, Breaker::Ticket ticket,
              const SilenceOptions& silence, std::shared_ptr<StubSink> outer)
      : breaker_(std::move(breaker)),
        ticket_(ticket),
        silence_(silence),
        outer_(std::move(outer)),
        heard_(silence.steady()) {}

  // The cancel that follows is the server's fault.
  void Blame() { blamed_.store(true, std::memory_order_relaxed); }

  void OnStarted(const CloudStarted& event) override { outer_->OnStarted(event); }
  void OnDelta(const std::string& text) override {
    spoke_ = true;
    heard_ = silence_.steady();
    outer_->OnDelta(text);
  }
  void OnFinished(const CloudFinished& event) override {
    breaker_->Report(ticket_, Breaker::Outcome::kSuccess);
    outer_->OnFinished(event);
  }
  void OnError(const StubError& event) override {
    breaker_->Report(ticket_, OutcomeOf(event));
    outer_->OnError(event);
  }

 private:
  // What the end of a call says about the server.
  Breaker::Outcome OutcomeOf(const StubError& event) const {
    const CloudErrorKind kind = event.error.kind;
    if (kind == CloudErrorKind::kDeadline) return OutcomeOfSilence();
    if (kind == CloudErrorKind::kCancelled) {
      const bool blamed = blamed_.load(std::memory_order_relaxed);
      return blamed ? OutcomeOfSilence() : Breaker::Outcome::kUnknown;
    }
    const bool alive = event.answered && kind != CloudErrorKind::kUnavailable;
    return alive ? Breaker::Outcome::kSuccess : Breaker::Outcome::kFailure;
  }

  // Out of time. gRPC's deadline and the caller's patience may end at one moment, so it does not
  // matter which of them came first, only how long the server had been silent by then.
  Breaker::Outcome OutcomeOfSilence() const {
    if (silence_.steady() - heard_ >= silence_.fair_wait()) return Breaker::Outcome::kFailure;
    return spoke_ ? Breaker::Outcome::kSuccess : Breaker::Outcome::kUnknown;
  }

  const std::shared_ptr<Breaker> breaker_;
  const Breaker::Ticket ticket_;
  const SilenceOptions silence_;
  const std::shared_ptr<StubSink> outer_;
  std::atomic<bool> blamed_{false};
  bool spoke_ = false;  // text came
  absl::Time heard_;    // when it last did; before, when the call began
};

class BreakerHandle final : public CloudCall {
 public:
  BreakerHandle(std::unique_ptr<CloudCall> inner, std::shared_ptr<BreakerSink> sink)
      : inner_(std::move(inner)), sink_(std::move(sink)) {}
  void Cancel() override { inner_->Cancel(); }
  void Abandon() override {
    sink_->Blame();
    inner_->Abandon();
  }

 private:
  const std::unique_ptr<CloudCall> inner_;  // its destruction cancels
  const std::shared_ptr<BreakerSink> sink_;
};

class NoCall final : public CloudCall {
 public:
  void Cancel() override {}
};

class BreakerStub final : public CloudStub {
 public:
  BreakerStub(std::shared_ptr<CloudStub> inner, std::shared_ptr<Breaker> breaker,
              SilenceOptions silence)
      : inner_(std::move(inner)), breaker_(std::move(breaker)), silence_(std::move(silence)) {}

  std::unique_ptr<CloudCall> Start(const StubRequest& request,
                                   std::shared_ptr<StubSink> sink) override {
    const Breaker::Ticket ticket = breaker_->Admit();
    if (ticket != Breaker::Ticket::kRefused) {
      auto guarded = std::make_shared<BreakerSink>(breaker_, ticket, silence_, std::move(sink));
      return std::make_unique<BreakerHandle>(inner_->Start(request, guarded), guarded);
    }
    StubError error;
    error.error.kind = CloudErrorKind::kBreakerOpen;
    error.error.nothing_sent = true;
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
  const SilenceOptions silence_;
};

}  // namespace

std::shared_ptr<CloudStub> MakeBreakerStub(std::shared_ptr<CloudStub> inner,
                                           std::shared_ptr<Breaker> breaker,
                                           SilenceOptions silence) {
  return std::make_shared<BreakerStub>(std::move(inner), std::move(breaker), std::move(silence));
}

}  // namespace nearfar
