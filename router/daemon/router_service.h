// nearfar.v1.RouterService over gRPC's callback API: the daemon's front door.
// Thread-safe. Held by tests/router/daemon/daemon_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_ROUTER_SERVICE_H_
#define NEARFAR_ROUTER_DAEMON_ROUTER_SERVICE_H_

#include <memory>
#include <string>

#include "local_engine/engine.h"
#include "nearfar/v1/router.grpc.pb.h"
#include "router/daemon/active_calls.h"
#include "router/daemon/call_limits.h"
#include "router/daemon/policy_reloader.h"
#include "router/router.h"

namespace nearfar::daemon {

// All borrowed, and outliving the service's server.
struct RouterServiceOptions {
  Router* router = nullptr;
  PolicyReloader* reloader = nullptr;
  ActiveCalls* calls = nullptr;
  CallLimits limits;
  std::string near_model;                // "" = none
  std::shared_ptr<const Engine> engine;  // nullptr = none
};

class RouterService final : public v1::RouterService::CallbackService {
 public:
  explicit RouterService(RouterServiceOptions options) : options_(std::move(options)) {}

  grpc::ServerWriteReactor<v1::RoutedResponse>* Generate(grpc::CallbackServerContext* context,
                                                         const v1::RoutedRequest* request) override;
  grpc::ServerUnaryReactor* Explain(grpc::CallbackServerContext* context,
                                    const v1::RoutedRequest* request,
                                    v1::ExplainResponse* response) override;
  grpc::ServerUnaryReactor* GetHealth(grpc::CallbackServerContext* context,
                                      const v1::GetHealthRequest* request,
                                      v1::GetHealthResponse* response) override;
  grpc::ServerUnaryReactor* ReloadPolicy(grpc::CallbackServerContext* context,
                                         const v1::ReloadPolicyRequest* request,
                                         v1::ReloadPolicyResponse* response) override;
  grpc::ServerUnaryReactor* ClearTaint(grpc::CallbackServerContext* context,
                                       const v1::ClearTaintRequest* request,
                                       v1::ClearTaintResponse* response) override;

 private:
  const RouterServiceOptions options_;
};

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_ROUTER_SERVICE_H_
