// Addresses that the daemon can listen on. Pure. Held by
// tests/router/daemon/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_LISTEN_ADDRESS_H_
#define NEARFAR_ROUTER_DAEMON_LISTEN_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"

namespace nearfar::daemon {

struct ListenAddress {
  std::string grpc;       // as AddListeningPort takes it
  std::string unix_path;  // "" = TCP
  std::string host;       // of TCP, without brackets
  int port = 0;
  // Only this machine reaches it: a Unix socket or a loopback address.
  bool local = false;
};

// "unix:/absolute/path" or "HOST:PORT"; HOST is an IP address or "localhost", an IPv6 address
// stands in brackets. Errors: InvalidArgument.
absl::StatusOr<ListenAddress> ParseListenAddress(const std::string& text);

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_LISTEN_ADDRESS_H_
