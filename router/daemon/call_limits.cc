#include "router/daemon/call_limits.h"

#include <algorithm>

namespace nearfar::daemon {
namespace {

constexpr absl::Duration kNoDeadline = absl::Hours(24 * 365);
constexpr size_t kLongestName = 64;

}  // namespace

absl::Time DeadlineOf(std::chrono::system_clock::time_point asked, absl::Time now,
                      const CallLimits& limits) {
  const absl::Time deadline = absl::FromChrono(asked);
  if (deadline > now + kNoDeadline) return now + limits.default_timeout;
  return std::min(deadline, now + limits.max_timeout);
}

std::string LogName(const std::string& id) {
  std::string name = id.substr(0, kLongestName);
  for (char& c : name) {
    if (c <= 0x20 || c >= 0x7F) c = '?';
  }
  return name.empty() ? "-" : name;
}

}  // namespace nearfar::daemon
