// Tells systemd how the service stands: one datagram to $NOTIFY_SOCKET (sd_notify(3)); nothing
// without one. Held by tests/router/daemon/program_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_NOTIFY_H_
#define NEARFAR_ROUTER_DAEMON_NOTIFY_H_

#include <string>

namespace nearfar::daemon {

// `state` as "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=..."; true if it was sent.
bool NotifyServiceManager(const std::string& state);

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_NOTIFY_H_
