// What the daemon imposes on every call, and who it is in a log line.
// Pure. Held by tests/router/daemon/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_CALL_LIMITS_H_
#define NEARFAR_ROUTER_DAEMON_CALL_LIMITS_H_

#include <chrono>
#include <cstddef>
#include <string>

#include "absl/time/time.h"

namespace nearfar::daemon {

struct CallLimits {
  absl::Duration default_timeout = absl::Minutes(2);
  absl::Duration max_timeout = absl::Minutes(10);
};

// What a call gets beyond its deadline to end by itself, with its own words.
inline constexpr absl::Duration kDeadlineGrace = absl::Milliseconds(100);

// Of one call's answer, while its client does not read; one that leaves more waiting is cut off.
inline constexpr size_t kMostQueuedBytes = size_t{1} << 20;

// The caller's deadline within the limits. gRPC tells a caller without one as a time centuries
// away.
absl::Time DeadlineOf(std::chrono::system_clock::time_point asked, absl::Time now,
                      const CallLimits& limits);

// An id that a client made up, fit for a log line: printable, without spaces, at most 64 bytes.
std::string LogName(const std::string& id);

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_CALL_LIMITS_H_
