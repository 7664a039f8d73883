// Runs a function after a delay on gRPC's own timer threads; the default of CloudOptions::after.
// The delay is of steady time: a wall clock that is set moves nothing. Thread-safe. Held by
// tests/cloud_client/cloud_client_test.cc (a retry over the real timer).

#ifndef NEARFAR_CLOUD_CLIENT_STUB_TIMER_H_
#define NEARFAR_CLOUD_CLIENT_STUB_TIMER_H_

#include <functional>

#include "absl/time/time.h"
#include "cloud_client/options.h"

namespace nearfar {

void RunAfter(absl::Duration delay, std::function<void()> done);

// The timer that these options name: their own, or RunAfter.
std::function<void(absl::Duration, std::function<void()>)> TimerOf(const CloudOptions& options);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_STUB_TIMER_H_
