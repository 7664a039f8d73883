// Listeners, credentials and limits of the daemon's gRPC server.
// Held by tests/router/daemon/daemon_test.cc (mutual TLS, hostile bytes).

#ifndef NEARFAR_ROUTER_DAEMON_GRPC_SERVER_H_
#define NEARFAR_ROUTER_DAEMON_GRPC_SERVER_H_

#include <grpcpp/server.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "router/daemon/daemon_config.h"

namespace nearfar::daemon {

struct ListeningServer {
  std::unique_ptr<grpc::Server> server;
  std::vector<std::string> addresses;  // as configured, with the real port for port 0
};

// Bytes that gRPC may hold for all connections and calls together: for each call that may run one
// request, and one answer whose client does not read. A peer beyond it is not read, or cut off.
size_t MemoryQuota(const DaemonConfig& config);

// With the standard health service and reflection beside `services`, which are borrowed and outlive
// the server. Errors: Unavailable (an address is taken or cannot be bound).
absl::StatusOr<ListeningServer> StartServer(const DaemonConfig& config,
                                            const std::vector<grpc::Service*>& services);

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_GRPC_SERVER_H_
