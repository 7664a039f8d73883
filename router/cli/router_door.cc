// The door in this process: engine, far clients, ledger and log are put together as an application
// that embeds nearfar::router does it.

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "local_engine/engine.h"
#include "policies/policy.h"
#include "policies/policy_file.h"
#include "router/cli/answer_door.h"
#include "router/cli/paths.h"
#include "router/decision_log.h"
#include "router/far_sides.h"
#include "router/ledger.h"
#include "router/local_backend.h"

namespace nearfar::cli {
namespace {

class RouterDoor : public AnswerDoor {
 public:
  RouterDoor(std::string name, std::unique_ptr<Router> router, std::shared_ptr<DecisionLog> log,
             Terminal* terminal)
      : name_(std::move(name)),
        terminal_(terminal),
        log_(std::move(log)),
        router_(std::move(router)) {}
  ~RouterDoor() override {
    router_.reset();  // writes what is still to be logged
    const int64_t lost = log_ ? log_->failed_writes() : 0;
    if (lost > 0) {
      terminal_->Error(absl::StrCat("decision log: ", lost, lost == 1 ? " record" : " records",
                                    " could not be written (is the disk full?)"));
    }
  }

  std::shared_ptr<RouterCall> Start(Query query, std::shared_ptr<EventSink> sink) override {
    return router_->Start(std::move(query), std::move(sink));
  }
  absl::StatusOr<Decision> Explain(const Query& query) override { return router_->Explain(query); }
  absl::Status ClearTaint(const std::string& session_key) override {
    return router_->ClearTaint(session_key);
  }
  std::string name() const override { return name_; }

 private:
  const std::string name_;
  Terminal* const terminal_;
  const std::shared_ptr<DecisionLog> log_;  // may be nullptr
  std::unique_ptr<Router> router_;
};

absl::StatusOr<std::shared_ptr<Ledger>> OpenLedger(const PolicyConfig& config) {
  LedgerOptions options;
  options.path = LedgerPath();
  options.limit_usd = config.budget.limit_usd;
  options.window = config.budget.window;
  options.lease_usd = config.budget.lease_usd;
  absl::StatusOr<std::unique_ptr<Ledger>> ledger = Ledger::Open(options);
  if (!ledger.ok()) {
    return absl::Status(
        ledger.status().code(),
        absl::StrCat(ledger.status().message(),
                     " (does a nearfard run with this state? then ask it with --daemon; "
                     "NEARFAR_STATE chooses another folder)"));
  }
  return std::shared_ptr<Ledger>(*std::move(ledger));
}

// The money as an explanation sees it: what the file said, for a router that spends nothing.
// Immutable, hence thread-safe.
class LookedLedger : public Ledger {
 public:
  LookedLedger(const LedgerLook& look, const PolicyConfig& config, absl::Time now)
      : spent_usd_(look.spent_usd),
        limit_usd_(config.budget.limit_usd),
        window_start_(now < look.window_end ? look.window_end - config.budget.window : now) {}

  absl::StatusOr<int64_t> Reserve(double, const std::string&) override {
    return absl::FailedPreconditionError("an explanation spends nothing");
  }
  absl::Status Settle(int64_t, double) override {
    return absl::NotFoundError("an explanation has reserved nothing");
  }
  double SpentUsd() const override { return spent_usd_; }
  std::optional<double> limit_usd() const override { return limit_usd_; }
  absl::Time window_start() const override { return window_start_; }
  // The router sets the limit of the policy that this was made with.
  absl::Status SetLimit(std::optional<double>, absl::Duration, double) override {
    return absl::OkStatus();
  }

 private:
  const double spent_usd_;
  const std::optional<double> limit_usd_;
  const absl::Time window_start_;
};

// nullptr where nothing was ever spent. Books that cannot be read are an error, as an answer would
// meet it too.
absl::StatusOr<std::shared_ptr<Ledger>> LookAtLedger(const PolicyConfig& config) {
  const absl::Time now = absl::Now();
  const absl::StatusOr<LedgerLook> look = Ledger::Look(LedgerPath(), now);
  if (absl::IsNotFound(look.status())) return nullptr;
  if (!look.ok()) return look.status();
  return std::make_shared<LookedLedger>(*look, config, now);
}

// Answers do not wait for a log: nullptr where there can be none.
std::shared_ptr<DecisionLog> OpenLog(const PolicyConfig& config, Terminal* terminal) {
  absl::StatusOr<std::unique_ptr<DecisionLog>> log =
      DecisionLog::Open({.path = DecisionLogPath(), .keep = config.log.keep});
  if (!log.ok()) {
    terminal->Error(absl::StrCat("no decision is logged: ", log.status().message()));
    return nullptr;
  }
  if (!(*log)->warning().empty()) terminal->Error((*log)->warning());
  return *std::move(log);
}

// Where the near model's file is not there a router is a gateway: worth a warning, not an end, and
// nullptr. A file or an option that is wrong must not send far what was meant for near.
absl::StatusOr<std::shared_ptr<Backend>> OpenNear(const DoorFlags& flags,
                                                  const PolicyConfig& config, Terminal* terminal) {
  const auto engine =
      OpenEngine(flags.model.empty() ? config.near.model : flags.model, flags.engine);
  if (absl::IsNotFound(engine.status())) {
    terminal->Error(absl::StrCat("no near model: ", engine.status().message()));
    return nullptr;
  }
  if (!engine.ok()) return engine.status();
  return MakeLocalBackend(*engine, {.model = ModelNameOf((*engine)->info())});
}

std::string NameOf(const DoorFlags& flags, const PolicyConfig& config) {
  const std::string& model = flags.model.empty() ? config.near.model : flags.model;
  return absl::StrCat("policy ", flags.policy, ", near model ",
                      model.empty() ? "not named: the first default one that is here" : model);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AnswerDoor>> OpenRouterDoor(const DoorFlags& flags, DoorUse use,
                                                           Terminal* terminal) {
  const absl::StatusOr<std::string> path = FindPolicy(flags.policy);
  if (!path.ok()) return path.status();
  absl::StatusOr<PolicyConfig> config = LoadPolicyFile(*path, {.search_paths = SharedFolders()});
  if (!config.ok()) return config.status();
  absl::StatusOr<std::shared_ptr<const Policy>> policy = MakePolicy(*config);
  if (!policy.ok()) return policy.status();

  RouterOptions options;
  options.policy = *policy;
  auto near = OpenNear(flags, *config, terminal);
  if (!near.ok()) return near.status();
  options.near = *std::move(near);
  const absl::StatusOr<FarSides> far = MakeFarSides(*config);
  if (!far.ok()) return far.status();
  options.far = BackendsOf(*far, *config);
  if (options.near == nullptr && options.far.empty()) {
    return absl::UnavailableError("there is neither a near model nor a far target to answer");
  }
  options.taint_path = TaintPath();
  options.taint_read_only = use == DoorUse::kExplain;
  if (use == DoorUse::kAnswer) {
    absl::Status made = MakeStateFolder();
    if (!made.ok()) return made;
  }
  auto ledger = use == DoorUse::kAnswer ? OpenLedger(*config) : LookAtLedger(*config);
  if (!ledger.ok()) return ledger.status();
  options.ledger = *std::move(ledger);
  if (use == DoorUse::kAnswer) options.log = OpenLog(*config, terminal);
  const std::shared_ptr<DecisionLog> log = options.log;
  auto router = Router::Create(std::move(options));
  if (!router.ok()) return router.status();
  const absl::Status taint = (*router)->status().taint;
  if (!taint.ok()) terminal->Error(taint.message());
  return std::make_unique<RouterDoor>(NameOf(flags, *config), *std::move(router), log, terminal);
}

}  // namespace nearfar::cli
