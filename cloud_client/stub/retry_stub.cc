#include "cloud_client/stub/retry_stub.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace nearfar {

void RetryBudget::Succeed() {
  absl::MutexLock lock(&mutex_);
  millis_ = std::min(kMillis, millis_ + 100);
}

void RetryBudget::Fail() {
  absl::MutexLock lock(&mutex_);
  millis_ = std::max(0, millis_ - 1000);
}

bool RetryBudget::Allows() const {
  absl::MutexLock lock(&mutex_);
  return millis_ > kMillis / 2;
}

namespace {

// What a stub and all its calls share.
struct Shared {
  std::shared_ptr<CloudStub> inner;
  RetryOptions options;
  RetryBudget budget;
};

// One call over all its attempts. At any time either an attempt runs, or a pause does, or it is
// over.
class RetryingCall : public std::enable_shared_from_this<RetryingCall> {
 public:
  RetryingCall(std::shared_ptr<Shared> shared, StubRequest request, std::shared_ptr<StubSink> outer)
      : shared_(std::move(shared)), request_(std::move(request)), outer_(std::move(outer)) {}

  void Try();
  // Ends the call by `how`, which is a cancel of the running attempt.
  void Stop(void (CloudCall::*how)());

  // From the running attempt.
  void OnEvent() { delivered_ = true; }
  void OnFinished(const CloudFinished& event);
  void OnError(const StubError& event);
  StubSink& outer() { return *outer_; }

 private:
  // How long to wait before another attempt; empty = there is none.
  std::optional<absl::Duration> Pause(const StubError& event);
  // True for the one that ends the call.
  bool End();

  const std::shared_ptr<Shared> shared_;
  const StubRequest request_;
  const std::shared_ptr<StubSink> outer_;
  bool delivered_ = false;  // one attempt at a time touches these two
  bool sent_ = false;       // an attempt's request may have left

  absl::Mutex mutex_;
  int attempt_ ABSL_GUARDED_BY(mutex_) = 0;
  bool pausing_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<CloudCall> running_ ABSL_GUARDED_BY(mutex_);
};

class AttemptSink final : public StubSink {
 public:
  explicit AttemptSink(std::shared_ptr<RetryingCall> call) : call_(std::move(call)) {}
  void OnStarted(const CloudStarted& event) override {
    call_->OnEvent();
    call_->outer().OnStarted(event);
  }
  void OnDelta(const std::string& text) override {
    call_->OnEvent();
    call_->outer().OnDelta(text);
  }
  void OnFinished(const CloudFinished& event) override { call_->OnFinished(event); }
  void OnError(const StubError& event) override { call_->OnError(event); }

 private:
  const std::shared_ptr<RetryingCall> call_;
};

void RetryingCall::Try() {
  int attempt;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    attempt = ++attempt_;
    pausing_ = false;
  }
  std::shared_ptr<CloudCall> call =
      shared_->inner->Start(request_, std::make_shared<AttemptSink>(shared_from_this()));
  bool cancel;
  {
    absl::MutexLock lock(&mutex_);
    cancel = cancelled_;
    // It may have ended within Start, and even a next attempt may run by now.
    if (!ended_ && attempt == attempt_ && !pausing_) running_ = call;
  }
  if (cancel) call->Cancel();
}

void RetryingCall::Stop(void (CloudCall::*how)()) {
  std::shared_ptr<CloudCall> running;
  bool ends_here = false;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_ || cancelled_) return;
    cancelled_ = true;
    running = std::move(running_);
    if (pausing_) ended_ = ends_here = true;
  }
  if (running) (*running.*how)();
  if (!ends_here) return;
  StubError error;
  error.error.kind = CloudErrorKind::kCancelled;
  error.error.message = "cancelled";
  outer_->OnError(error);
}

bool RetryingCall::End() {
  std::shared_ptr<CloudCall> running;
  absl::MutexLock lock(&mutex_);
  running = std::move(running_);
  return !std::exchange(ended_, true);
}

void RetryingCall::OnFinished(const CloudFinished& event) {
  shared_->budget.Succeed();
  if (End()) outer_->OnFinished(event);
}

std::optional<absl::Duration> RetryingCall::Pause(const StubError& event) {
  const RetryOptions& options = shared_->options;
  if (!event.retryable || delivered_ || !shared_->budget.Allows()) return std::nullopt;
  if (event.push_back && *event.push_back > options.cap) return std::nullopt;
  int attempt;
  {
    absl::MutexLock lock(&mutex_);
    if (cancelled_ || attempt_ >= options.attempts) return std::nullopt;
    attempt = attempt_;
  }
  const double doublings = static_cast<double>(int64_t{1} << std::min(attempt - 1, 30));
  const absl::Duration pause =
      event.push_back ? *event.push_back
                      : std::min(options.cap, options.base * doublings) * options.uniform();
  if (options.clock() + pause >= request_.deadline) return std::nullopt;
  return pause;
}

void RetryingCall::OnError(const StubError& event) {
  if (event.retryable) shared_->budget.Fail();
  sent_ |= !event.error.nothing_sent;
  const std::optional<absl::Duration> pause = Pause(event);
  bool again = false;
  std::shared_ptr<CloudCall> over;
  if (pause) {
    absl::MutexLock lock(&mutex_);
    again = pausing_ = !cancelled_;  // it may have been cancelled just now
    over = std::move(running_);
  }
  if (again) {
    shared_->options.retries->fetch_add(1, std::memory_order_relaxed);
    shared_->options.after(*pause, [self = shared_from_this()] { self->Try(); });
  } else if (End()) {
    StubError last = event;
    last.error.nothing_sent = !sent_;
    outer_->OnError(last);
  }
}

class RetryHandle final : public CloudCall {
 public:
  explicit RetryHandle(std::shared_ptr<RetryingCall> call) : call_(std::move(call)) {}
  ~RetryHandle() override { call_->Stop(&CloudCall::Cancel); }
  void Cancel() override { call_->Stop(&CloudCall::Cancel); }
  void Abandon() override { call_->Stop(&CloudCall::Abandon); }

 private:
  const std::shared_ptr<RetryingCall> call_;
};

class RetryStub final : public CloudStub {
 public:
  RetryStub(std::shared_ptr<CloudStub> inner, RetryOptions options)
      : shared_(std::make_shared<Shared>()) {
    shared_->inner = std::move(inner);
    shared_->options = std::move(options);
  }

  std::unique_ptr<CloudCall> Start(const StubRequest& request,
                                   std::shared_ptr<StubSink> sink) override {
    auto call = std::make_shared<RetryingCall>(shared_, request, std::move(sink));
    call->Try();
    return std::make_unique<RetryHandle>(std::move(call));
  }

  absl::StatusOr<CloudModel> GetModel(const StubRequest& request) override {
    return shared_->inner->GetModel(request);
  }

 private:
  const std::shared_ptr<Shared> shared_;
};

}  // namespace

std::shared_ptr<CloudStub> MakeRetryStub(std::shared_ptr<CloudStub> inner, RetryOptions options) {
  return std::make_shared<RetryStub>(std::move(inner), std::move(options));
}

}  // namespace nearfar
