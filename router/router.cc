// The router's face; what it does is in internal/core.h (what requests share) and
// internal/request.h (one query's life).

#include "router/router.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "policies/explain.h"
#include "router/internal/check_query.h"
#include "router/internal/core.h"
#include "router/internal/request.h"

namespace nearfar {
namespace {

using internal::Core;
using internal::Request;
using internal::Snapshot;

class RouterImpl : public Router {
 public:
  explicit RouterImpl(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  ~RouterImpl() override { core_->ShutDown(); }

  std::shared_ptr<RouterCall> Start(Query query, std::shared_ptr<EventSink> sink) override {
    auto request = std::make_shared<Request>(core_, std::move(query), std::move(sink));
    request->Begin(core_->Enter(request));
    return request;
  }

  absl::StatusOr<Decision> Explain(const Query& query) override {
    absl::Status checked = internal::CheckQuery(query);
    if (!checked.ok()) return checked;
    std::shared_ptr<const Snapshot> snapshot = core_->snapshot();
    return nearfar::Explain(*snapshot->policy, core_->BuildSignals(query, *snapshot));
  }

  absl::Status Reload(std::shared_ptr<const Policy> policy,
                      std::map<std::string, std::shared_ptr<Backend>> far) override {
    auto next = std::make_shared<Snapshot>();
    next->policy = std::move(policy);
    next->far = std::move(far);
    absl::Status checked = CheckSnapshot(*next, core_->near() != nullptr);
    return checked.ok() ? core_->Swap(std::move(next)) : checked;
  }

  RouterStatus status() const override {
    std::shared_ptr<const Snapshot> snapshot = core_->snapshot();
    const PolicyConfig& config = snapshot->policy->config();
    RouterStatus status;
    status.policy_name = config.name;
    status.policy_revision = config.revision;
    status.calibration = core_->near() ? CheckCalibration(config, core_->near()->Describe().binding)
                                       : absl::NotFoundError("there is no near model");
    for (const FarConfig& far : config.far) {
      status.far[far.name] = snapshot->Far(far.name)->health();
    }
    status.budget = core_->Budget(config);
    status.active = core_->active();
    status.lost_records = core_->lost_records();
    status.taint = core_->taint().status();
    return status;
  }

  absl::Status ClearTaint(const std::string& session_key) override {
    if (session_key.empty()) return absl::InvalidArgumentError("session_key: is empty");
    absl::Status checked = internal::CheckSessionKey(session_key);
    return checked.ok() ? core_->taint().Clear(session_key) : checked;
  }

 private:
  const std::shared_ptr<Core> core_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Router>> Router::Create(RouterOptions options) {
  const Snapshot first{options.policy, options.far};
  absl::Status checked = CheckSnapshot(first, options.near != nullptr);
  if (!checked.ok()) return checked;
  if (options.max_active < 1 || options.default_max_tokens < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("router: max_active (", options.max_active, ") and default_max_tokens (",
                     options.default_max_tokens, ") must be at least 1"));
  }
  const PolicyConfig& config = options.policy->config();
  if (options.ledger && config.budget.limit_usd) {
    absl::Status set = options.ledger->SetLimit(config.budget.limit_usd, config.budget.window,
                                                config.budget.lease_usd);
    if (!set.ok()) return set;
  }
  return std::make_unique<RouterImpl>(std::make_shared<Core>(std::move(options)));
}

}  // namespace nearfar
