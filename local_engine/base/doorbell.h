// One thread waits for a while, and others may end its wait. On the steady clock: the deadlines of
// absl::Mutex follow the wall clock, which may be set back by hours while somebody waits.
// Held by tests/local_engine/base/doorbell_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_DOORBELL_H_
#define NEARFAR_LOCAL_ENGINE_BASE_DOORBELL_H_

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "absl/time/time.h"

namespace nearfar {

// Ring is thread-safe; one thread waits.
class Doorbell {
 public:
  // Ends the wait that goes on, or else the next one.
  void Ring() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      rung_ = true;
    }
    changed_.notify_one();
  }

  // Until somebody rings, but no longer than `most`, nor than an hour. Whether somebody did.
  bool WaitFor(absl::Duration most) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, absl::ToChronoNanoseconds(std::min(most, absl::Hours(1))),
                      [this] { return rung_; });
    return std::exchange(rung_, false);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rung_ = false;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_DOORBELL_H_
