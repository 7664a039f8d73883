// Our statuses as gRPC's: the one place on the daemon's way out.
// Held by tests/router/daemon/grpc_status_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_GRPC_STATUS_H_
#define NEARFAR_ROUTER_DAEMON_GRPC_STATUS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "router/backend.h"

namespace nearfar::daemon {

// The same code and message. The codes' numbers are the same by design of Abseil.
grpc::Status ToGrpc(const absl::Status& status);

// As ToGrpc, for an error of a backend, whose kind says more than its code.
grpc::Status ToGrpc(const BackendError& error);

// Says in the trailers that the call was refused before any work began, and why
// ("rate_limited", "unavailable", "context_too_long"): a client may try again without paying twice.
// `retry` adds how long a client should wait. Call before the status is sent.
void MarkRefused(grpc::CallbackServerContext* context, const char* kind, bool retry);

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_GRPC_STATUS_H_
