// Keeps what a router tells an app, and checks the contract of the events on the way: one terminal
// event, last; the deltas, less what was retracted, are the final text; each ends on a code point.

#ifndef NEARFAR_TESTS_TESTING_EVENT_RECORDER_H_
#define NEARFAR_TESTS_TESTING_EVENT_RECORDER_H_

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "router/internal/utf8.h"
#include "router/query.h"

namespace nearfar::testing {

// Thread-safe. Copies are handed out.
class EventRecorder : public EventSink {
 public:
  std::function<void(const std::string&)> on_delta;  // called without a lock

  void OnStarted(const Started& event) override {
    absl::MutexLock hold(&mu_);
    EXPECT_FALSE(started_ || finished_ || failed_) << "started late or twice";
    started_ = event;
  }
  void OnDelta(const Delta& event) override {
    {
      absl::MutexLock hold(&mu_);
      EXPECT_TRUE(started_ && !finished_ && !failed_) << "a delta at the wrong time";
      EXPECT_FALSE(event.text.empty());
      EXPECT_EQ(internal::ToValidUtf8(event.text), event.text);
      text_ += event.text;
      deltas_.push_back(event);
    }
    if (on_delta) on_delta(event.text);
  }
  void OnRetract(const Retract& event) override {
    absl::MutexLock hold(&mu_);
    EXPECT_LE(event.from, static_cast<int64_t>(text_.size()));
    text_.resize(event.from);
    ++retracts_;
  }
  void OnFinished(const Finished& event) override {
    absl::MutexLock hold(&mu_);
    EXPECT_TRUE(started_ && !finished_ && !failed_) << "a second end";
    EXPECT_EQ(event.text, text_) << "streamed and final text differ";
    finished_ = event;
  }
  void OnFailed(const Failed& event) override {
    absl::MutexLock hold(&mu_);
    EXPECT_FALSE(finished_ || failed_) << "a second end";
    failed_ = event;
  }

  bool ended() const {
    absl::MutexLock hold(&mu_);
    return finished_ || failed_;
  }
  // Blocks until the terminal event; for tests with real threads.
  void WaitForEnd() const {
    absl::MutexLock hold(&mu_);
    auto end = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return finished_ || failed_; };
    mu_.Await(absl::Condition(&end));
  }
  std::optional<Started> started() const {
    absl::MutexLock hold(&mu_);
    return started_;
  }
  std::optional<Finished> finished() const {
    absl::MutexLock hold(&mu_);
    return finished_;
  }
  std::optional<Failed> failed() const {
    absl::MutexLock hold(&mu_);
    return failed_;
  }
  std::string text() const {
    absl::MutexLock hold(&mu_);
    return text_;
  }
  std::vector<Delta> deltas() const {
    absl::MutexLock hold(&mu_);
    return deltas_;
  }
  int retracts() const {
    absl::MutexLock hold(&mu_);
    return retracts_;
  }

 private:
  mutable absl::Mutex mu_;
  std::optional<Started> started_ ABSL_GUARDED_BY(mu_);
  std::optional<Finished> finished_ ABSL_GUARDED_BY(mu_);
  std::optional<Failed> failed_ ABSL_GUARDED_BY(mu_);
  std::string text_ ABSL_GUARDED_BY(mu_);
  std::vector<Delta> deltas_ ABSL_GUARDED_BY(mu_);
  int retracts_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_EVENT_RECORDER_H_
