#include "router/daemon/drain.h"

#include <spdlog/spdlog.h>

#include "absl/time/clock.h"

namespace nearfar::daemon {

void Drain(Daemon* daemon, SignalInbox* inbox, absl::Duration patience) {
  daemon->CloseDoors();
  spdlog::info("shutting down: {} calls may finish within {:.1f} s", daemon->active_calls(),
               absl::ToDoubleSeconds(patience));
  daemon->OnIdle([inbox] { inbox->Wake(); });
  const absl::Time until = absl::Now() + patience;
  while (true) {
    switch (inbox->Wait(until)) {
      case SignalInbox::Event::kReload:
        continue;
      case SignalInbox::Event::kStop:
        spdlog::warn("told to stop a second time: {} calls are cut off", daemon->active_calls());
        break;
      case SignalInbox::Event::kTimeout:
        spdlog::warn("time is up: {} calls are cut off", daemon->active_calls());
        break;
      case SignalInbox::Event::kWake:
        break;
    }
    break;
  }
  daemon->Stop();
}

}  // namespace nearfar::daemon
