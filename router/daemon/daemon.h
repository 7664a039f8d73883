// The daemon put together: engine, router, services, server. The program (main.cc) adds signals and
// a command line; tests run several in one process. Thread-safe but for Stop, which one caller
// calls. Held by tests/router/daemon/daemon_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_DAEMON_H_
#define NEARFAR_ROUTER_DAEMON_DAEMON_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "local_engine/engine.h"
#include "router/daemon/active_calls.h"
#include "router/daemon/daemon_config.h"
#include "router/daemon/grpc_server.h"
#include "router/daemon/inference_service.h"
#include "router/daemon/policy_reloader.h"
#include "router/daemon/router_service.h"
#include "router/far_sides.h"
#include "router/router.h"

namespace nearfar::daemon {

class Daemon {
 public:
  // Loads the model, opens the ledger and the log, and listens; ready when it returns.
  // Errors: those of Engine::Open, Ledger::Open, Router::Create, StartServer.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(DaemonConfig config);
  ~Daemon();  // Stop

  const std::vector<std::string>& addresses() const { return server_.addresses; }
  // nullptr without a model.
  const std::shared_ptr<Engine>& engine() const { return engine_; }
  // nullptr where the router is not served.
  Router* router() const { return router_.get(); }

  // Reloads the policy on the reloader's thread; nothing to do without a router.
  void ReloadPolicy();

  // The end, in this order. The health service says NOT_SERVING and new calls are refused:
  void CloseDoors();
  // `done` runs when the last call is over:
  void OnIdle(std::function<void()> done) { calls_->OnIdle(std::move(done)); }
  // what still runs is ended with UNAVAILABLE:
  void AbortCalls() { calls_->AbortAll(); }
  // nothing listens any more, and ledger and log are closed. Idempotent.
  void Stop();
  int active_calls() const { return calls_->count(); }

 private:
  explicit Daemon(DaemonConfig config) : config_(std::move(config)) {}

  absl::Status OpenNear();
  absl::Status OpenRouter();
  absl::Status Listen();
  absl::Status Apply(const PolicyConfig& policy);

  const DaemonConfig config_;
  std::unique_ptr<ActiveCalls> calls_;
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Backend> near_;
  FarSides far_;  // of the policy in force; after the start the reloader's own
  std::unique_ptr<Router> router_;
  std::unique_ptr<PolicyReloader> reloader_;
  std::unique_ptr<RouterService> router_service_;
  std::unique_ptr<InferenceService> inference_service_;
  ListeningServer server_;
};

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_DAEMON_H_
