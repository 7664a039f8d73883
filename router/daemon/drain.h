// The end of a daemon's life: what runs may finish, for a while.
// Held by tests/router/daemon/program_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_DRAIN_H_
#define NEARFAR_ROUTER_DAEMON_DRAIN_H_

#include "absl/time/time.h"
#include "router/daemon/daemon.h"
#include "router/daemon/signal_inbox.h"

namespace nearfar::daemon {

// Closes the doors, waits until nothing runs, `patience` is over or a second stop signal comes,
// ends what is left with a status, and stops the daemon. SIGHUP is ignored meanwhile.
void Drain(Daemon* daemon, SignalInbox* inbox, absl::Duration patience);

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_DRAIN_H_
