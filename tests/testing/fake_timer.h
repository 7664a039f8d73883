// A timer that runs when a fake clock reaches its times, on the test's own thread.

#ifndef NEARFAR_TESTS_TESTING_FAKE_TIMER_H_
#define NEARFAR_TESTS_TESTING_FAKE_TIMER_H_

#include <functional>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "router/internal/timer.h"
#include "tests/testing/fake_clock.h"

namespace nearfar::testing {

// Thread-safe. `clock` outlives it.
class FakeTimer : public internal::Timer {
 public:
  explicit FakeTimer(FakeClock* clock) : clock_(clock) {}

  absl::Time Now() const override { return clock_->Now(); }
  uint64_t Schedule(absl::Duration delay, std::function<void()> run) override {
    absl::MutexLock hold(&mu_);
    entries_[{clock_->Now() + delay, next_id_}] = std::move(run);
    return next_id_++;
  }
  void Cancel(uint64_t id) override {
    absl::MutexLock hold(&mu_);
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->first.second != id) continue;
      entries_.erase(it);
      return;
    }
  }
  // Moves the clock and runs what comes due, in order.
  void Advance(absl::Duration by) {
    const absl::Time to = clock_->Now() + by;
    while (true) {
      std::function<void()> run;
      {
        absl::MutexLock hold(&mu_);
        if (entries_.empty() || entries_.begin()->first.first > to) break;
        clock_->Set(entries_.begin()->first.first);
        run = std::move(entries_.begin()->second);
        entries_.erase(entries_.begin());
      }
      run();
    }
    clock_->Set(to);
  }
  int pending() const {
    absl::MutexLock hold(&mu_);
    return static_cast<int>(entries_.size());
  }

 private:
  FakeClock* const clock_;
  mutable absl::Mutex mu_;
  uint64_t next_id_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<std::pair<absl::Time, uint64_t>, std::function<void()>> entries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_FAKE_TIMER_H_
