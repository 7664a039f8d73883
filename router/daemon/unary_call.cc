#include "router/daemon/unary_call.h"

#include <utility>

#include "router/daemon/grpc_status.h"

namespace nearfar::daemon {

UnaryCall* UnaryCall::Run(grpc::CallbackServerContext* context, ActiveCalls* calls,
                          const std::function<void(UnaryCall* call)>& work, CallKind kind) {
  auto* call = new UnaryCall();
  auto ticket = calls->Admit(kind);
  if (!ticket.ok()) {
    call->Finish(Refusal(context, ticket.status()));
    return call;
  }
  call->ticket_ = *std::move(ticket);
  work(call);
  return call;
}

}  // namespace nearfar::daemon
