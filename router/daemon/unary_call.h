// A call with one answer that counts among those that run: it takes a place of limits.max_active,
// or one of the operators' (CallKind), until gRPC is done with it, and is refused as streams are.
// Held by tests/router/daemon/daemon_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_UNARY_CALL_H_
#define NEARFAR_ROUTER_DAEMON_UNARY_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>

#include "router/daemon/active_calls.h"

namespace nearfar::daemon {

class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  // Runs `work` at once if the call is admitted. It sees that Finish is called exactly once, now or
  // later and from any thread. gRPC owns the call from then on.
  static UnaryCall* Run(grpc::CallbackServerContext* context, ActiveCalls* calls,
                        const std::function<void(UnaryCall* call)>& work,
                        CallKind kind = CallKind::kAnswer);

 private:
  UnaryCall() = default;
  ~UnaryCall() override = default;
  void OnDone() override { delete this; }

  std::unique_ptr<ActiveCalls::Ticket> ticket_;
};

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_UNARY_CALL_H_
