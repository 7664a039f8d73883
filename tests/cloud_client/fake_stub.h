// A stub whose calls a test drives by hand, and a sink that keeps what it heard.

#ifndef NEARFAR_TESTS_CLOUD_CLIENT_FAKE_STUB_H_
#define NEARFAR_TESTS_CLOUD_CLIENT_FAKE_STUB_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "cloud_client/stub/stub.h"

namespace nearfar::testing {

// One thread at a time.
class FakeStub : public CloudStub {
 public:
  struct Started {
    StubRequest request;
    std::shared_ptr<StubSink> sink;
    bool cancelled = false;
    bool abandoned = false;
  };

  std::unique_ptr<CloudCall> Start(const StubRequest& request,
                                   std::shared_ptr<StubSink> sink) override {
    calls.push_back(std::make_shared<Started>(Started{request, sink}));
    std::shared_ptr<Started> call = calls.back();
    if (on_start) on_start(*call);
    return std::make_unique<Handle>(std::move(call));
  }

  absl::StatusOr<CloudModel> GetModel(const StubRequest& request) override {
    calls.push_back(std::make_shared<Started>(Started{request, nullptr}));
    return model;
  }

  std::vector<std::shared_ptr<Started>> calls;
  std::function<void(Started&)> on_start;  // may end the call from within Start
  absl::StatusOr<CloudModel> model = CloudModel();

 private:
  class Handle : public CloudCall {
   public:
    explicit Handle(std::shared_ptr<Started> call) : call_(std::move(call)) {}
    ~Handle() override { call_->cancelled = true; }
    void Cancel() override { call_->cancelled = true; }
    void Abandon() override { call_->abandoned = true; }

   private:
    std::shared_ptr<Started> call_;
  };
};

class StubRecorder : public StubSink {
 public:
  void OnStarted(const CloudStarted& event) override { started = event; }
  void OnDelta(const std::string& delta) override { text += delta; }
  void OnFinished(const CloudFinished& event) override {
    finished = event;
    ++terminals;
  }
  void OnError(const StubError& event) override {
    error = event;
    ++terminals;
  }

  std::optional<CloudStarted> started;
  std::string text;
  std::optional<CloudFinished> finished;
  std::optional<StubError> error;
  int terminals = 0;
};

inline StubError Unavailable() {
  StubError error;
  error.error.kind = CloudErrorKind::kUnavailable;
  error.error.message = "not there";
  error.retryable = true;
  return error;
}

inline CloudFinished FinishedWith(int64_t prompt_tokens, int64_t completion_tokens) {
  CloudFinished event;
  event.prompt_tokens = prompt_tokens;
  event.completion_tokens = completion_tokens;
  return event;
}

// Timers that fire when a test says so. They may be set on any thread; the test reads and fires
// when it knows that none is being set.
class FakeTimers {
 public:
  std::function<void(absl::Duration, std::function<void()>)> after() {
    return [this](absl::Duration delay, std::function<void()> done) {
      absl::MutexLock hold(&mutex_);
      delays.push_back(delay);
      waiting.push_back(std::move(done));
    };
  }
  void AwaitWaiting(size_t timers) {
    absl::MutexLock hold(&mutex_);
    const auto there = [&] { return waiting.size() >= timers; };
    mutex_.Await(absl::Condition(&there));
  }
  void FireNext() {
    std::function<void()> done;
    {
      absl::MutexLock hold(&mutex_);
      done = std::move(waiting.front());
      waiting.pop_front();
    }
    done();
  }

  std::vector<absl::Duration> delays;
  std::deque<std::function<void()>> waiting;

 private:
  absl::Mutex mutex_;
};

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_CLOUD_CLIENT_FAKE_STUB_H_
