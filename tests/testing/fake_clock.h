// A clock that moves only when a test says so.

#ifndef NEARFAR_TESTS_TESTING_FAKE_CLOCK_H_
#define NEARFAR_TESTS_TESTING_FAKE_CLOCK_H_

#include <functional>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace nearfar::testing {

// Thread-safe. Outlives the functions it hands out.
class FakeClock {
 public:
  explicit FakeClock(absl::Time start = absl::FromUnixSeconds(1'700'000'000)) : now_(start) {}

  absl::Time Now() const {
    absl::MutexLock hold(&mu_);
    return now_;
  }
  void Advance(absl::Duration by) {
    absl::MutexLock hold(&mu_);
    now_ += by;
  }
  void Set(absl::Time to) {
    absl::MutexLock hold(&mu_);
    now_ = to;
  }
  std::function<absl::Time()> function() const {
    return [this] { return Now(); };
  }

 private:
  mutable absl::Mutex mu_;
  absl::Time now_ ABSL_GUARDED_BY(mu_);
};

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_FAKE_CLOCK_H_
