// Runs a function after a delay on gRPC's own timer threads; the default of CloudOptions::after.
// Thread-safe. Held by tests/cloud_client/cloud_client_test.cc (a retry over the real timer).

#ifndef NEARFAR_CLOUD_CLIENT_STUB_TIMER_H_
#define NEARFAR_CLOUD_CLIENT_STUB_TIMER_H_

#include <functional>

#include "absl/time/time.h"

namespace nearfar {

void RunAfter(absl::Duration delay, std::function<void()> done);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_STUB_TIMER_H_
