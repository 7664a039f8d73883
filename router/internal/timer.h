// Runs things later: deadlines and the patience with a silent far side. One thread for a router,
// whatever the number of requests; tests put their own in its place and let no time pass. Delays
// are of steady time: a wall clock that is set moves nothing. Held by
// tests/router/internal/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_TIMER_H_
#define NEARFAR_ROUTER_INTERNAL_TIMER_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/time/time.h"

namespace nearfar::internal {

// Thread-safe.
class Timer {
 public:
  virtual ~Timer() = default;
  // The time that delays are of. Nobody sets it, and its zero means nothing.
  virtual absl::Time Now() const = 0;
  // Calls `run` once, on the timer's thread, after `delay` (at once where it is not positive).
  // `run` must not block. The id is never 0.
  virtual uint64_t Schedule(absl::Duration delay, std::function<void()> run) = 0;
  // Forgets it; without effect if it ran, or is running.
  virtual void Cancel(uint64_t id) = 0;
};

// Timer::Now of a real timer.
absl::Time SteadyNow();

// A timer with a thread of its own. Destroying it forgets what is scheduled.
std::shared_ptr<Timer> MakeThreadTimer();

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_TIMER_H_
