// See core.h.

#include "router/internal/core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "policies/estimators/prompt_features.h"

namespace nearfar::internal {
namespace {

// Device signals change slowly, and some sensors are slow to read.
constexpr absl::Duration kDeviceFresh = absl::Seconds(1);

void MergeFindings(TextFindings found, TextFindings* all) {
  all->pii |= found.pii;
  for (std::string& word : found.keywords) {
    auto at = std::find(all->keywords.begin(), all->keywords.end(), word);
    if (at == all->keywords.end()) all->keywords.push_back(std::move(word));
  }
}

const std::string& LastUserText(const std::vector<Message>& messages) {
  for (auto it = messages.rbegin(); it != messages.rend(); ++it) {
    if (it->role == "user") return it->content;
  }
  return messages.back().content;
}

PromptSignals PromptOf(const Query& query, const Policy& policy, const Backend* near) {
  PromptSignals prompt;
  FillPromptFeatures(LastUserText(query.messages), &prompt);
  prompt.turns = static_cast<int>(query.messages.size());
  prompt.needs_json = query.format == ResponseFormat::kJson;
  for (const Message& message : query.messages) {
    prompt.conversation_bytes += static_cast<int64_t>(message.content.size());
    // Every turn would leave the device, whoever wrote it.
    MergeFindings(policy.ScanText(message.content), &prompt.findings);
  }
  for (const std::string& stop : query.stop) MergeFindings(policy.ScanText(stop), &prompt.findings);
  if (near) prompt.tokens = near->CountTokens(query.messages);
  return prompt;
}

NearSignals NearOf(const Query& query, const Backend* near) {
  NearSignals signals;
  if (!near) {
    signals.available = false;
    return signals;
  }
  const BackendDescription description = near->Describe();
  const BackendSpeed speed = near->speed();
  signals.available = near->health() != Health::kUnreachable;
  signals.model = description.model;
  signals.binding = description.binding;
  signals.binding.sampling = query.sampling.temperature > 0 ? "sampled" : "greedy";
  signals.context_tokens = description.capabilities.context_tokens;
  signals.json = description.capabilities.json;
  signals.prefill_tokens_per_second = speed.prefill_tokens_per_second;
  signals.decode_tokens_per_second = speed.decode_tokens_per_second;
  return signals;
}

FarSignals FarOf(const FarConfig& config, const Backend& far) {
  const BackendDescription description = far.Describe();
  const BackendSpeed speed = far.speed();
  FarSignals signals;
  signals.name = config.name;
  signals.model = description.model.empty() ? config.model : description.model;
  signals.fingerprint = description.binding.fingerprint;
  signals.trust = config.trust;
  signals.health = far.health();
  signals.input_usd_per_mtok = config.input_usd_per_mtok.value_or(0);
  signals.output_usd_per_mtok = config.output_usd_per_mtok.value_or(0);
  signals.context_tokens = description.capabilities.context_tokens > 0
                               ? description.capabilities.context_tokens
                               : config.context_tokens;
  signals.json = config.json && description.capabilities.json;
  signals.prior_right = config.prior_right;
  signals.ttft_seconds = speed.ttft_seconds.value_or(config.expected_ttft_seconds);
  signals.tokens_per_second =
      speed.decode_tokens_per_second.value_or(config.expected_tokens_per_second);
  return signals;
}

RequestSignals RequestOf(const Query& query, int default_max_tokens) {
  RequestSignals signals;
  signals.route = query.options.route;
  signals.max_cost_usd = query.options.max_cost_usd;
  if (query.options.max_ttft) {
    signals.max_ttft_seconds = absl::ToDoubleSeconds(*query.options.max_ttft);
  }
  signals.min_confidence = query.options.min_confidence;
  signals.local_only = query.options.local_only;
  signals.max_tokens = query.max_tokens > 0 ? query.max_tokens : default_max_tokens;
  return signals;
}

}  // namespace

absl::Status CheckSnapshot(const Snapshot& snapshot, bool has_near) {
  if (!snapshot.policy) return absl::InvalidArgumentError("router: no policy");
  const PolicyConfig& config = snapshot.policy->config();
  for (const FarConfig& far : config.far) {
    if (!snapshot.Far(far.name)) {
      return absl::InvalidArgumentError(absl::StrCat("router: policy '", config.name,
                                                     "' names the far target '", far.name,
                                                     "', which has no backend"));
    }
  }
  if (!has_near && config.far.empty()) {
    return absl::InvalidArgumentError("router: neither a near model nor a far target");
  }
  return absl::OkStatus();
}

Core::Core(RouterOptions options)
    : options_(std::move(options)),
      taint_({.path = options_.taint_path, .read_only = options_.taint_read_only}),
      random_(std::random_device{}()) {
  if (!options_.timer) options_.timer = MakeThreadTimer();
  if (options_.signal_sources.empty()) options_.signal_sources = AllSignalSources();
  if (options_.log) log_writer_ = std::make_unique<LogWriter>(options_.log);
  auto first = std::make_shared<Snapshot>();
  first->policy = std::move(options_.policy);
  first->far = std::move(options_.far);
  snapshot_ = std::move(first);
  ConfigurePacing(snapshot_->policy->config());
}

Core::~Core() = default;

std::string Core::NewId() {
  absl::MutexLock hold(&mu_);
  return absl::StrFormat("q-%016x", random_());
}

std::shared_ptr<const Snapshot> Core::snapshot() const {
  absl::MutexLock hold(&mu_);
  return snapshot_;
}

absl::Status Core::Swap(std::shared_ptr<const Snapshot> next) {
  const PolicyConfig& config = next->policy->config();
  const bool had_limit = snapshot()->policy->config().budget.limit_usd.has_value();
  // A limit that the policy never set is the application's own, and stays.
  if (options_.ledger && (config.budget.limit_usd || had_limit)) {
    absl::Status set = options_.ledger->SetLimit(config.budget.limit_usd, config.budget.window,
                                                 config.budget.lease_usd);
    if (!set.ok()) return set;
  }
  {
    absl::MutexLock hold(&mu_);
    snapshot_.swap(next);
  }
  ConfigurePacing(snapshot()->policy->config());
  return absl::OkStatus();
}

void Core::ConfigurePacing(const PolicyConfig& config) {
  const Ledger* ledger = options_.ledger.get();
  const double spent = ledger ? ledger->SpentUsd() : 0;
  const absl::Time start = ledger ? ledger->window_start() : Now();
  absl::MutexLock hold(&mu_);
  pacer_.Configure(config, spent, start, Now());
}

DeviceSignals Core::ReadDevice() {
  const absl::Time now = Now();
  absl::MutexLock hold(&device_mu_);
  if (now - device_read_ < kDeviceFresh && now >= device_read_) return device_;
  device_ = DeviceSignals();
  for (const auto& source : options_.signal_sources) source->Read(&device_);
  device_read_ = now;
  return device_;
}

double Core::Uniform() {
  if (options_.uniform) return options_.uniform();
  absl::MutexLock hold(&mu_);
  return std::uniform_real_distribution<double>(0, 1)(random_);
}

BudgetSignals Core::Budget(const PolicyConfig& config) const {
  BudgetSignals budget;
  if (options_.ledger) {
    budget.limit_usd = options_.ledger->limit_usd();
    budget.spent_usd = options_.ledger->SpentUsd();
  } else {
    budget.limit_usd = config.budget.limit_usd;
  }
  absl::MutexLock hold(&mu_);
  budget.pacing_price = pacer_.Price(Now());
  return budget;
}

void Core::Refresh(const Snapshot& snapshot, Signals* signals) const {
  const PolicyConfig& config = snapshot.policy->config();
  signals->budget = Budget(config);
  signals->far.clear();
  for (const FarConfig& far : config.far) {
    signals->far.push_back(FarOf(far, *snapshot.Far(far.name)));
  }
}

Signals Core::BuildSignals(const Query& query, const Snapshot& snapshot) {
  Signals signals;
  signals.prompt = PromptOf(query, *snapshot.policy, near());
  signals.device = ReadDevice();
  signals.near = NearOf(query, near());
  signals.request = RequestOf(query, options_.default_max_tokens);
  taint_.Retry();
  signals.tainted = !query.session_key.empty() && taint_.Contains(query.session_key);
  signals.uniform_draw = Uniform();
  Refresh(snapshot, &signals);
  return signals;
}

absl::StatusOr<Reservation> Core::Reserve(const Snapshot& snapshot, double bound_usd,
                                          const std::string& target) {
  // A far side that never answers may settle after the router is gone.
  auto on_bill = [weak = weak_from_this()](double bill_usd) {
    if (auto core = weak.lock()) core->OnBill(bill_usd);
  };
  if (options_.ledger) {
    absl::StatusOr<int64_t> id = options_.ledger->Reserve(bound_usd, target);
    if (!id.ok()) return id.status();
    return Reservation(options_.ledger, *id, bound_usd, std::move(on_bill));
  }
  if (bound_usd > 0 && snapshot.policy->config().budget.limit_usd) {
    return absl::FailedPreconditionError(
        "budget: there is a limit, but no ledger to keep it: far calls that cost are refused");
  }
  return Reservation(nullptr, 0, bound_usd, std::move(on_bill));
}

void Core::OnBill(double bill_usd) {
  absl::MutexLock hold(&mu_);
  pacer_.OnBill(bill_usd, Now());
}

void Core::Log(DecisionRecord record, const PolicyConfig& config) {
  if (log_writer_) log_writer_->Append(std::move(record), config.log.prompt_text, config.log.keep);
}

int64_t Core::lost_records() const {
  return log_writer_ ? log_writer_->dropped() + options_.log->failed_writes() : 0;
}

bool Core::Enter(const std::shared_ptr<RouterCall>& request) {
  absl::MutexLock hold(&mu_);
  if (closed_ || active_ >= options_.max_active) return false;
  ++active_;
  return requests_.insert(request).second;
}

void Core::Ended() {
  absl::MutexLock hold(&mu_);
  --active_;
}

void Core::Leave(const std::shared_ptr<RouterCall>& request) {
  absl::MutexLock hold(&mu_);
  requests_.erase(request);
}

int Core::active() const {
  absl::MutexLock hold(&mu_);
  return active_;
}

void Core::ShutDown() {
  std::set<std::shared_ptr<RouterCall>> running;
  {
    absl::MutexLock hold(&mu_);
    closed_ = true;
    running = requests_;
  }
  for (const auto& request : running) request->Cancel();
  {
    absl::MutexLock hold(&mu_);
    auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return requests_.empty(); };
    mu_.Await(absl::Condition(&none));
  }
  if (log_writer_) log_writer_->Flush();
  // An application that still holds one of our calls must not keep the next router from the file.
  taint_.LetGo();
}

}  // namespace nearfar::internal
