#include "router/daemon/daemon.h"

#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "policies/policy.h"
#include "router/decision_log.h"
#include "router/ledger.h"
#include "router/local_backend.h"

namespace nearfar::daemon {
namespace {

namespace fs = std::filesystem;

// What last events and a status need to reach a client before its connection is cut.
constexpr std::chrono::milliseconds kLastWords{1000};

absl::Status MakeFolder(const std::string& folder) {
  std::error_code error;
  const fs::path parent = fs::absolute(folder).parent_path();
  if (!fs::is_directory(folder, error)) fs::create_directories(parent, error);
  if (mkdir(folder.c_str(), 0700) != 0 && !fs::is_directory(folder, error)) {
    return absl::PermissionDeniedError(
        absl::StrCat(folder, ": the folder cannot be made (state_dir chooses another one)"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Ledger>> OpenLedger(const std::string& folder,
                                                   const PolicyConfig& policy) {
  LedgerOptions options;
  options.path = absl::StrCat(folder, "/ledger.db");
  options.limit_usd = policy.budget.limit_usd;
  options.window = policy.budget.window;
  options.lease_usd = policy.budget.lease_usd;
  absl::StatusOr<std::unique_ptr<Ledger>> ledger = Ledger::Open(options);
  if (!ledger.ok()) return ledger.status();
  return std::shared_ptr<Ledger>(*std::move(ledger));
}

// Answers do not wait for a log: nullptr where there can be none.
std::shared_ptr<DecisionLog> OpenLog(const std::string& folder, const PolicyConfig& policy) {
  DecisionLogOptions options;
  options.path = absl::StrCat(folder, "/decisions.db");
  options.keep = policy.log.keep;
  absl::StatusOr<std::unique_ptr<DecisionLog>> log = DecisionLog::Open(options);
  if (!log.ok()) {
    spdlog::warn("no decision is logged: {}", std::string(log.status().message()));
    return nullptr;
  }
  if (!(*log)->warning().empty()) spdlog::warn("{}", (*log)->warning());
  return *std::move(log);
}

void ReportReload(const ReloadState& state) {
  if (state.last.ok()) {
    spdlog::info("policy {} is in force, revision {}", state.name, state.revision.substr(0, 12));
  } else {
    spdlog::error("the policy was not reloaded, {} stays in force:\n{}", state.name,
                  std::string(state.last.message()));
  }
}

// For the log: what answers here.
std::string NearText(const Engine* engine) {
  if (engine == nullptr) return "no near model";
  const ModelInfo& info = engine->info();
  return absl::StrCat("model ", info.path, ", kernels ", info.kernels, ", ", info.threads,
                      info.threads == 1 ? " thread" : " threads", ", packed cache ",
                      engine->stats().packed_cache);
}

// For the log: what decides here.
std::string RouterText(const DaemonConfig& config, const Router* router) {
  if (router == nullptr) return "no router";
  const RouterStatus status = router->status();
  std::vector<std::string> far;
  for (const auto& [name, health] : status.far) far.push_back(name);
  return absl::StrCat("policy ", status.policy_name, ", revision ",
                      status.policy_revision.substr(0, 12),
                      status.calibration.ok() ? ", calibrated" : ", not calibrated",
                      far.empty() ? "; no far side" : "; far ", absl::StrJoin(far, ", "),
                      "; state in ", config.state_dir);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(DaemonConfig config) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(config)));
  daemon->calls_ = std::make_unique<ActiveCalls>(daemon->config_.max_active);
  for (absl::Status (Daemon::*step)() : {&Daemon::OpenNear, &Daemon::OpenRouter, &Daemon::Listen}) {
    const absl::Status status = (daemon.get()->*step)();
    if (!status.ok()) return status;
  }
  spdlog::info("nearfard {}: {}; {}", NEARFAR_VERSION, NearText(daemon->engine_.get()),
               RouterText(daemon->config_, daemon->router_.get()));
  return daemon;
}

absl::Status Daemon::OpenNear() {
  if (config_.model_path.empty()) return absl::OkStatus();
  EngineOptions options;
  options.threads = config_.threads;
  options.context_tokens = config_.context_tokens;
  options.max_sessions = config_.max_sessions;
  options.kernels = config_.kernels;
  options.kv_type = config_.kv_type;
  options.packed_cache = config_.packed_cache;
  options.max_tokens_per_second = config_.max_tokens_per_second;
  options.max_temperature = config_.max_temperature;
  absl::StatusOr<std::shared_ptr<Engine>> engine = Engine::Open(config_.model_path, options);
  if (!engine.ok()) {
    // Its options are keys of the same names here.
    const std::string why =
        absl::StrReplaceAll(engine.status().message(), {{"EngineOptions::", "model."}});
    const bool named = absl::StrContains(why, config_.model_path);
    return absl::Status(engine.status().code(),
                        named ? why : absl::StrCat(config_.model_path, ": ", why));
  }
  engine_ = *std::move(engine);
  LocalBackendOptions near;
  // One session stays free for what comes without a key.
  near.kept_sessions = config_.max_sessions - 1;
  near.max_waiting = config_.max_active;
  near_ = MakeLocalBackend(engine_, near);
  return absl::OkStatus();
}

absl::Status Daemon::OpenRouter() {
  if (!config_.serve_router) return absl::OkStatus();
  absl::StatusOr<std::shared_ptr<const Policy>> policy = MakePolicy(*config_.policy);
  if (!policy.ok()) return policy.status();
  absl::StatusOr<FarSides> far = MakeFarSides(*config_.policy);
  if (!far.ok()) return far.status();
  far_ = *std::move(far);
  const absl::Status folder = MakeFolder(config_.state_dir);
  if (!folder.ok()) return folder;
  absl::StatusOr<std::shared_ptr<Ledger>> ledger = OpenLedger(config_.state_dir, *config_.policy);
  if (!ledger.ok()) return ledger.status();

  RouterOptions options;
  options.policy = *std::move(policy);
  options.near = near_;
  options.far = BackendsOf(far_, *config_.policy);
  options.ledger = *std::move(ledger);
  options.log = OpenLog(config_.state_dir, *config_.policy);
  options.taint_path = absl::StrCat(config_.state_dir, "/taint.db");
  options.default_timeout = config_.default_timeout;
  options.max_active = config_.max_active;
  absl::StatusOr<std::unique_ptr<Router>> router = Router::Create(std::move(options));
  if (!router.ok()) return router.status();
  router_ = *std::move(router);
  const absl::Status taint = router_->status().taint;
  if (!taint.ok()) spdlog::error("{}", std::string(taint.message()));

  ReloaderOptions reload;
  reload.path = config_.policy_path;
  reload.search_paths = config_.policy_search_paths;
  reload.apply = [this](const PolicyConfig& changed) { return Apply(changed); };
  reload.report = ReportReload;
  reloader_ = std::make_unique<PolicyReloader>(std::move(reload), *config_.policy);
  if (!reloader_->watches()) {
    spdlog::warn("{} cannot be watched: changes need SIGHUP", config_.policy_path);
  }
  return absl::OkStatus();
}

absl::Status Daemon::Apply(const PolicyConfig& changed) {
  absl::StatusOr<std::shared_ptr<const Policy>> policy = MakePolicy(changed);
  if (!policy.ok()) return policy.status();
  absl::StatusOr<FarSides> far = MakeFarSides(changed, far_);
  if (!far.ok()) return far.status();
  if (changed.near.model != config_.policy->near.model) {
    spdlog::warn("near.model changed: the loaded model stays until the daemon starts again");
  }
  const absl::Status status = router_->Reload(*std::move(policy), BackendsOf(*far, changed));
  if (status.ok()) far_ = *std::move(far);
  return status;
}

absl::Status Daemon::Listen() {
  const CallLimits limits = {config_.default_timeout, config_.max_timeout};
  std::vector<grpc::Service*> services;
  if (router_) {
    RouterServiceOptions options;
    options.router = router_.get();
    options.reloader = reloader_.get();
    options.calls = calls_.get();
    options.limits = limits;
    if (near_) options.near_model = near_->Describe().model;
    options.engine = engine_;
    router_service_ = std::make_unique<RouterService>(std::move(options));
    services.push_back(router_service_.get());
  }
  if (config_.serve_inference) {
    InferenceServiceOptions options;
    options.engine = engine_;
    options.backend = near_;
    options.calls = calls_.get();
    options.limits = limits;
    options.input_usd_per_mtok = config_.input_usd_per_mtok;
    options.output_usd_per_mtok = config_.output_usd_per_mtok;
    inference_service_ = std::make_unique<InferenceService>(std::move(options));
    services.push_back(inference_service_.get());
  }
  absl::StatusOr<ListeningServer> server = StartServer(config_, services);
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  if (auto* health = server_.server->GetHealthCheckService()) health->SetServingStatus(true);
  return absl::OkStatus();
}

void Daemon::ReloadPolicy() {
  if (reloader_) reloader_->Request();
}

void Daemon::CloseDoors() {
  if (server_.server) {
    if (auto* health = server_.server->GetHealthCheckService()) health->SetServingStatus(false);
  }
  calls_->Close();
}

void Daemon::Stop() {
  if (server_.server) {
    CloseDoors();
    calls_->AbortAll();
    server_.server->Shutdown(std::chrono::system_clock::now() + kLastWords);
    server_.server->Wait();
  }
  // From the outside in: nothing calls any more what goes away.
  server_.server.reset();
  reloader_.reset();
  router_.reset();
  near_.reset();
}

Daemon::~Daemon() { Stop(); }

}  // namespace nearfar::daemon
