// Our statuses as gRPC's and back: the one place on the daemon's way out.
// Held by tests/router/daemon/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_GRPC_STATUS_H_
#define NEARFAR_ROUTER_DAEMON_GRPC_STATUS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "router/backend.h"

namespace nearfar::daemon {

// The same code and message. The codes' numbers are the same by design of Abseil.
grpc::Status ToGrpc(const absl::Status& status);

// The other way: what gRPC is told, said by an event of ours.
absl::Status FromGrpc(const grpc::Status& status);

// As ToGrpc, for an error of a backend, whose kind says more than its code.
grpc::Status ToGrpc(const BackendError& error);

// The status of a call that ActiveCalls::Admit refused. Says in the trailers that no work had
// begun, and why ("rate_limited", "unavailable"), so that a client may try again without paying
// twice; and how long it should wait, where that helps. Call before the status is sent.
grpc::Status Refusal(grpc::CallbackServerContext* context, const absl::Status& why);

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_GRPC_STATUS_H_
