// The ladder that every decision climbs, whatever the policy's kind: privacy, a request for near,
// rules that keep near or refuse, what far and near can do, the other rules, a request for far, and
// only then the kind (policies/kinds/). docs/policy.md tells it for people.
#include "policies/policy.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "policies/check_config.h"
#include "policies/detectors/keywords.h"
#include "policies/detectors/pii.h"
#include "policies/estimators/bound_head.h"
#include "policies/estimators/probability.h"
#include "policies/estimators/prompt_features.h"
#include "policies/kinds/all_kinds.h"
#include "policies/rules.h"
#include "policies/text/scan_text.h"
#include "policies/value.h"

namespace nearfar {
namespace {

// A far call that cannot pay for this many tokens is not worth starting.
constexpr int kMinPaidTokens = 16;
// A draft is stopped only if it is more likely than not to be rejected, however cheap far is: the
// closed form weighs costs alone and would also stop drafts that are good but slow.
constexpr double kLeastStopProbability = 0.5;
constexpr int kWindowsToStop = 2;
constexpr double kPerMillion = 1e-6;

// Why nothing of a turn may leave.
struct Home {
  Reason reason;
  std::string detail;
};

std::string Quoted(const std::string& name) { return absl::StrCat("'", name, "'"); }

std::optional<Home> MustStayHome(const Signals& signals, const RuleOutcome& rules) {
  if (signals.tainted) return Home{Reason::kTainted, "the session is tainted"};
  if (rules.tainted_by != nullptr) {
    const bool unsure = Evaluate(rules.tainted_by->when, signals) == Truth::kUnknown;
    return Home{Reason::kTainted,
                absl::StrCat("rule ", Quoted(rules.tainted_by->name),
                             unsure ? " (a signal of it is unknown: privacy fails closed)" : "")};
  }
  if (signals.request.local_only) return Home{Reason::kRequest, "local_only"};
  if (signals.request.route == Route::kNear) return Home{Reason::kRequest, "route near"};
  if (rules.routed_by != nullptr &&
      (rules.routed_by->route == Route::kNear || rules.routed_by->route == Route::kRefuse)) {
    return Home{Reason::kRule, absl::StrCat("rule ", Quoted(rules.routed_by->name))};
  }
  return std::nullopt;
}

// An upper bound of the prompt tokens that a far call is billed for: no tokenizer makes more tokens
// than there are bytes.
int64_t BilledTokensBound(const Signals& signals) {
  const int64_t bytes = std::max(signals.prompt.bytes, signals.prompt.conversation_bytes);
  int64_t bound =
      bytes + kBillOverheadTokens + kBillOverheadTokensPerTurn * std::max(signals.prompt.turns, 1);
  if (signals.draft && signals.draft->released) {
    bound += signals.draft->bytes + kBillOverheadTokensPerTurn;
  }
  return bound;
}

void Block(FarOption* option, Reason reason, std::string detail) {
  if (option->blocked) return;  // the first rung that stops it is the reason
  option->blocked = reason;
  option->blocked_detail = absl::StrCat(option->far->name, ": ", detail);
}

void CheckHealth(FarOption* option) {
  if (option->far->health == Health::kUnreachable) Block(option, Reason::kOffline, "unreachable");
  if (option->far->health == Health::kBreakerOpen) {
    Block(option, Reason::kBreakerOpen, "its circuit breaker is open");
  }
}

// Clips max_tokens to what the money holds and states the bill's bound.
void CheckMoney(const Signals& signals, FarOption* option) {
  const double input_usd = kPerMillion * option->far->input_usd_per_mtok *
                           static_cast<double>(BilledTokensBound(signals));
  const double token_usd = kPerMillion * option->far->output_usd_per_mtok;
  const auto bill = [&] { return input_usd + token_usd * option->max_tokens; };
  const auto clip = [&](double money) {
    if (bill() <= money) return;
    const double rest = std::max(money - input_usd, 0.0);
    option->max_tokens =
        token_usd > 0 && input_usd <= money
            ? static_cast<int>(std::min<double>(option->max_tokens, rest / token_usd))
            : 0;
    // Rounding must not lift the bill above the money by the last bit.
    while (option->max_tokens > 0 && bill() > money) --option->max_tokens;
  };
  const int enough = std::min(kMinPaidTokens, signals.request.max_tokens);
  if (const auto remaining = signals.budget.remaining_usd()) {
    clip(*remaining);
    if (option->max_tokens < enough) {
      Block(option, Reason::kBudgetSpent,
            absl::StrFormat("%.6f USD are left of the budget", *remaining));
    }
  }
  if (signals.request.max_cost_usd) {
    clip(*signals.request.max_cost_usd);
    if (option->max_tokens < enough) {
      Block(option, Reason::kRequest,
            absl::StrFormat("max_cost_usd %.6f does not hold the call",
                            *signals.request.max_cost_usd));
    }
  }
}

void CheckContext(const PolicyConfig& config, const Signals& signals, FarOption* option) {
  if (option->far->context_tokens <= 0) return;  // it does not tell
  const int64_t prompt = std::llround(ExpectTokens(config, signals).prompt);
  const int64_t room = option->far->context_tokens - prompt;
  if (room < std::min(kMinPaidTokens, signals.request.max_tokens)) {
    Block(option, Reason::kContextTooLong,
          absl::StrCat("about ", prompt, " prompt tokens, context ", option->far->context_tokens));
  }
  option->max_tokens = static_cast<int>(std::clamp<int64_t>(room, 0, option->max_tokens));
}

void CheckAbilities(const Signals& signals, FarOption* option) {
  if (signals.prompt.needs_json && !option->far->json) {
    Block(option, Reason::kCapability, "does not answer JSON");
  }
  const std::optional<double> max_ttft = signals.request.max_ttft_seconds;
  if (max_ttft && option->far->ttft_seconds > *max_ttft) {
    Block(option, Reason::kRequest,
          absl::StrFormat("first token after %.2f s, max_ttft is %.2f s", option->far->ttft_seconds,
                          *max_ttft));
  }
}

// Why near cannot or should not answer.
struct NearLimit {
  Reason reason = Reason::kNearFailed;
  std::string detail;
};

// What near cannot do: far must answer.
std::optional<NearLimit> HardNearLimit(const Signals& signals) {
  if (!signals.near.available) {
    return NearLimit{Reason::kNearFailed, "the near model is not available"};
  }
  const int64_t context = signals.near.context_tokens;
  if (context > 0 && signals.prompt.tokens &&
      *signals.prompt.tokens + std::min(kMinPaidTokens, signals.request.max_tokens) > context) {
    return NearLimit{
        Reason::kContextTooLong,
        absl::StrCat(*signals.prompt.tokens, " prompt tokens, near context ", context)};
  }
  return std::nullopt;
}

std::optional<NearLimit> DeviceLimit(const PolicyConfig& config, const DeviceSignals& device) {
  const bool plugged_in = device.on_battery && !*device.on_battery;
  if (device.battery && !plugged_in && *device.battery < config.device.battery_floor) {
    return NearLimit{Reason::kDevice,
                     absl::StrFormat("battery %.2f is below the floor %.2f", *device.battery,
                                     config.device.battery_floor)};
  }
  if (device.thermal && *device.thermal > config.device.thermal_ceiling) {
    return NearLimit{Reason::kDevice, "the device is hotter than device.thermal_ceiling"};
  }
  return std::nullopt;
}

// What the policy would rather not have near do: far is preferred.
std::optional<NearLimit> SoftNearLimit(const PolicyConfig& config, const Signals& signals) {
  if (signals.prompt.needs_json && !signals.near.json) {
    return NearLimit{Reason::kCapability, "near does not answer JSON"};
  }
  return DeviceLimit(config, signals.device);
}

// What the request would rather not have near do.
std::optional<NearLimit> RequestedNearLimit(const Signals& signals) {
  const std::optional<double> max_ttft = signals.request.max_ttft_seconds;
  const std::optional<double> speed = signals.near.prefill_tokens_per_second;
  if (!max_ttft || !speed || *speed <= 0 || !signals.prompt.tokens) return std::nullopt;
  const double seconds = static_cast<double>(*signals.prompt.tokens) / *speed;
  if (seconds <= *max_ttft) return std::nullopt;
  return NearLimit{Reason::kRequest,
                   absl::StrFormat("near needs %.2f s to its first token, max_ttft is %.2f s",
                                   seconds, *max_ttft)};
}

// The target that a rule names, or named earlier on this turn: the failure of that one may be what
// turned the rule, and must not set others free. Empty = any may be taken.
const std::string& BoundTarget(const Signals& signals, const RuleOutcome& rules) {
  const bool named = rules.routed_by != nullptr && !rules.routed_by->target.empty();
  return named ? rules.routed_by->target : signals.bound_target;
}

// The option of this target, where one is bound (nullptr = it is not there): data goes to that one
// or to none. Else the usable one of the highest net value, else a blocked one.
const FarOption* BestOf(const std::vector<FarOption>& options, const std::string& target) {
  const auto worse = [](const FarOption& a, const FarOption& b) {
    if (a.blocked.has_value() != b.blocked.has_value()) return a.blocked.has_value();
    return a.value.net_usd < b.value.net_usd;
  };
  const auto best =
      target.empty() ? std::max_element(options.begin(), options.end(), worse)
                     : std::find_if(options.begin(), options.end(), [&](const FarOption& option) {
                         return option.far->name == target;
                       });
  return best != options.end() ? &*best : nullptr;
}

// Tokens that near's context leaves for the answer; 0 = all that the request asks for.
int NearMaxTokens(const Signals& signals) {
  if (signals.near.context_tokens <= 0 || !signals.prompt.tokens) return 0;
  const int64_t room = signals.near.context_tokens - *signals.prompt.tokens;
  return room < signals.request.max_tokens ? static_cast<int>(std::max<int64_t>(room, 1)) : 0;
}

class LadderPolicy : public Policy {
 public:
  explicit LadderPolicy(PolicyConfig config)
      : config_(std::move(config)), keywords_(KeywordsOf(config_.rules)) {
    for (const KindEntry& entry : AllKinds()) {
      if (entry.kind == config_.choose.kind) kind_ = entry.make();
    }
    const Calibration* calibration = config_.near.calibration.get();
    if (calibration == nullptr) return;
    if (calibration->prompt_near)
      prompt_near_.emplace(&*calibration->prompt_near, HeadKind::kPrompt);
    if (calibration->draft) draft_.emplace(&*calibration->draft, HeadKind::kDraft);
    // Without its deviation a prefix head says how a draft stands, not whether it will be rejected.
    if (calibration->prefix && calibration->prefix_deviation) {
      prefix_.emplace(&*calibration->prefix, HeadKind::kDraft);
    }
    for (const FarHead& far : calibration->prompt_far) {
      prompt_far_.emplace_back(&far, BoundHead(&far.head, HeadKind::kPrompt));
    }
  }

  const PolicyConfig& config() const override { return config_; }
  TextFindings ScanText(std::string_view text) const override;
  Taint TaintOf(const Signals& signals) const override {
    return EvaluateRules(config_.rules, signals).taint;
  }
  Decision Choose(const Signals& signals) const override;
  Decision Reconsider(const Signals& signals) const override;
  std::optional<double> AcceptProbability(const Signals& signals) const override;

 private:
  // Far targets, weighed once for a decision; `best` points into `options`.
  struct Weighed {
    std::vector<FarOption> options;
    const FarOption* best = nullptr;
    std::optional<double> p_near;
    bool can_judge = false;

    bool usable() const { return best != nullptr && !best->blocked; }
  };

  bool Calibrated(const Signals& signals) const {
    const Calibration* calibration = config_.near.calibration.get();
    return calibration != nullptr && calibration->BelongsTo(signals.near.binding);
  }
  std::optional<double> PromptNear(const Signals& signals) const;
  std::optional<double> NearRight(const Signals& signals) const;
  std::optional<double> RejectProbability(const Signals& signals, const Weighed& weighed) const;
  double FarRight(const Signals& signals, const FarSignals& far) const;
  Weighed Weigh(const Signals& signals, const RuleOutcome& rules) const;
  Evidence EvidenceOf(const Signals& signals, const Weighed& weighed) const {
    return {config_, signals, weighed.p_near, weighed.can_judge, weighed.best};
  }

  Decision StayHome(const Signals& signals, const RuleOutcome& rules, const Home& home) const;
  Wish WishOf(const Signals& signals, const RuleOutcome& rules, const Weighed& weighed) const;
  Decision ChooseAbroad(const Signals& signals, const RuleOutcome& rules) const;
  Decision PreferFar(const Wish& wish, const NearLimit& limit, const Signals& signals,
                     const Weighed& weighed) const;
  Decision CarryLate(const Wish& wish, const NearLimit& limit, const Signals& signals,
                     const Weighed& weighed) const;
  Decision Carry(const Wish& wish, const Signals& signals, const Weighed& weighed) const;
  Decision WithoutFar(const Wish& wish, const Signals& signals, const Weighed& weighed) const;
  Decision ToFar(const Wish& wish, const Signals& signals, const Weighed& weighed) const;
  Decision During(const Signals& signals, const RuleOutcome& rules) const;
  Decision After(const Signals& signals, const RuleOutcome& rules) const;

  PolicyConfig config_;
  KeywordScanner keywords_;
  std::unique_ptr<const Kind> kind_;
  std::optional<BoundHead> prompt_near_, draft_, prefix_;
  std::vector<std::pair<const FarHead*, BoundHead>> prompt_far_;
};

// --- estimates -----------------------------------------------------------------------------------

std::optional<double> LadderPolicy::PromptNear(const Signals& signals) const {
  if (!prompt_near_ || !Calibrated(signals)) return std::nullopt;
  return prompt_near_->Probability(signals);
}

// P(near right) by what is known now: of a finished draft if there is one, else of the prompt.
std::optional<double> LadderPolicy::NearRight(const Signals& signals) const {
  if (signals.near.p_right) return std::clamp(*signals.near.p_right, 0.0, 1.0);
  const std::optional<double> prompt = PromptNear(signals);
  if (!signals.draft || !signals.draft->finished) return prompt;
  if (!draft_ || !Calibrated(signals)) return std::nullopt;
  return draft_->Probability(signals, prompt);
}

// The finished draft's logit is taken as normal around the prefix head's; the draft is rejected
// where that falls below what the policy accepts.
std::optional<double> LadderPolicy::RejectProbability(const Signals& signals,
                                                      const Weighed& weighed) const {
  if (signals.near.p_right || !prefix_ || !weighed.can_judge) return std::nullopt;
  const std::optional<double> mean = prefix_->Logit(signals, PromptNear(signals));
  if (!mean) return std::nullopt;
  const double least = kind_->LeastAccepted(EvidenceOf(signals, weighed));
  if (least <= 0) return 0;
  if (least >= 1) return 1;
  return NormalBelow((Logit(least) - *mean) / *config_.near.calibration->prefix_deviation);
}

// P(far right) belongs to the target, its version and the features it was fitted on; near's own
// model has no part in it.
double LadderPolicy::FarRight(const Signals& signals, const FarSignals& far) const {
  // Where near tells no version (there may be no near model) the features are this build's.
  const int told = signals.near.binding.feature_version;
  const int version = told != 0 ? told : kFeatureVersion;
  if (prompt_far_.empty() || config_.near.calibration->binding.feature_version != version) {
    return far.prior_right;
  }
  for (const auto& [fitted, head] : prompt_far_) {
    if (fitted->target_model != far.model) continue;
    // A version that differs makes the estimate void; one that the target does not tell does not.
    if (!fitted->target_fingerprint.empty() && !far.fingerprint.empty() &&
        fitted->target_fingerprint != far.fingerprint) {
      continue;
    }
    if (const auto p = head.Probability(signals)) return *p;
  }
  return far.prior_right;
}

LadderPolicy::Weighed LadderPolicy::Weigh(const Signals& signals, const RuleOutcome& rules) const {
  Weighed weighed;
  weighed.p_near = NearRight(signals);
  weighed.can_judge = signals.near.p_right.has_value() || (draft_ && Calibrated(signals));
  weighed.options.reserve(signals.far.size());
  for (const FarSignals& far : signals.far) {
    FarOption option;
    option.far = &far;
    option.max_tokens = signals.request.max_tokens;
    option.value = ValueOf(config_, signals, far, weighed.p_near, FarRight(signals, far));
    CheckHealth(&option);
    // Before the money: a prompt that has no room there is not a matter of what it would cost.
    CheckContext(config_, signals, &option);
    CheckMoney(signals, &option);
    CheckAbilities(signals, &option);
    option.max_cost_usd =
        kPerMillion * (far.input_usd_per_mtok * static_cast<double>(BilledTokensBound(signals)) +
                       far.output_usd_per_mtok * option.max_tokens);
    weighed.options.push_back(std::move(option));
  }
  weighed.best = BestOf(weighed.options, BoundTarget(signals, rules));
  return weighed;
}

// --- before the draft ----------------------------------------------------------------------------

TextFindings LadderPolicy::ScanText(std::string_view text) const {
  const std::string plain = NormalizeForScan(text);
  return {ScanPlainPii(plain), keywords_.FindPlain(plain)};
}

Decision Refuse(Reason reason, std::string detail) {
  Decision decision;
  decision.route = Route::kRefuse;
  decision.reason = reason;
  decision.detail = std::move(detail);
  return decision;
}

Wish FarInstead(const NearLimit& limit) {
  return {Route::kFar, limit.reason, limit.detail, std::nullopt, std::nullopt};
}

std::string Wanted(const Wish& wish) {
  return absl::StrCat("wanted ", RouteName(wish.route), wish.detail.empty() ? "" : ": ",
                      wish.detail);
}

Decision LadderPolicy::StayHome(const Signals& signals, const RuleOutcome& rules,
                                const Home& home) const {
  if (rules.routed_by != nullptr && rules.routed_by->route == Route::kRefuse) {
    return Refuse(Reason::kRule, absl::StrCat("rule ", Quoted(rules.routed_by->name)));
  }
  if (const auto limit = HardNearLimit(signals)) {
    return Refuse(limit->reason, absl::StrCat(limit->detail, ", and this must stay on the device (",
                                              home.detail, ")"));
  }
  Decision decision;
  decision.reason = home.reason;
  decision.detail = home.detail;
  decision.confidence = NearRight(signals);
  decision.max_tokens = NearMaxTokens(signals);
  return decision;
}

Decision LadderPolicy::Choose(const Signals& signals) const {
  const RuleOutcome rules = EvaluateRules(config_.rules, signals);
  const std::optional<Home> home = MustStayHome(signals, rules);
  Decision decision = home ? StayHome(signals, rules, *home) : ChooseAbroad(signals, rules);
  decision.taint = rules.taint;
  decision.bound_target = BoundTarget(signals, rules);
  return decision;
}

// What is wanted of a turn that may leave. Rules come before the request, which may only tighten.
Wish LadderPolicy::WishOf(const Signals& signals, const RuleOutcome& rules,
                          const Weighed& weighed) const {
  Wish wish;
  if (rules.routed_by != nullptr) {
    wish.route = *rules.routed_by->route;
    wish.reason = Reason::kRule;
    wish.detail = absl::StrCat("rule ", Quoted(rules.routed_by->name));
    return wish;
  }
  const bool always_near =
      config_.choose.kind == PolicyKind::kFixed && config_.choose.route == Route::kNear;
  if (signals.request.route == Route::kFar && !always_near) {
    wish.route = Route::kFar;
    wish.reason = Reason::kRequest;
    wish.detail = "route far";
    return wish;
  }
  wish = kind_->Choose(EvidenceOf(signals, weighed));
  if (signals.request.route == Route::kFar && wish.detail.empty()) {
    wish.detail = "the policy keeps everything near, whatever the request asks for";
  }
  return wish;
}

Decision LadderPolicy::ChooseAbroad(const Signals& signals, const RuleOutcome& rules) const {
  const Weighed weighed = Weigh(signals, rules);
  std::optional<NearLimit> limit = HardNearLimit(signals);
  if (limit && !weighed.usable()) {
    return Refuse(limit->reason,
                  absl::StrCat(limit->detail, "; ",
                               weighed.best == nullptr ? "no far target can be had"
                                                       : weighed.best->blocked_detail));
  }
  const Wish wish = WishOf(signals, rules, weighed);
  if (wish.route == Route::kFar) return Carry(wish, signals, weighed);
  if (!limit) limit = SoftNearLimit(config_, signals);
  if (limit) return PreferFar(wish, *limit, signals, weighed);
  if (auto late = RequestedNearLimit(signals)) return CarryLate(wish, *late, signals, weighed);
  return Carry(wish, signals, weighed);
}

// Near had better not answer. Where far cannot, it does all the same: a preference refuses nothing
// that would be answered without it.
Decision LadderPolicy::PreferFar(const Wish& wish, const NearLimit& limit, const Signals& signals,
                                 const Weighed& weighed) const {
  if (weighed.usable()) return Carry(FarInstead(limit), signals, weighed);
  Decision decision = WithoutFar(wish, signals, weighed);
  decision.detail = absl::StrCat(limit.detail, "; ", decision.detail);
  return decision;
}

// A request that near is too slow for. It may turn a draft, which could have ended far anyway; it
// opens no policy that keeps this near.
Decision LadderPolicy::CarryLate(const Wish& wish, const NearLimit& limit, const Signals& signals,
                                 const Weighed& weighed) const {
  if (wish.route == Route::kDraft && weighed.best != nullptr) {
    return PreferFar(wish, limit, signals, weighed);
  }
  Decision decision = Carry(wish, signals, weighed);
  decision.reason = limit.reason;
  decision.detail = absl::StrCat(limit.detail, "; ", Wanted(wish));
  decision.flagged = true;
  return decision;
}

// --- from a wish to a decision -------------------------------------------------------------------

Decision FromWish(const Wish& wish, const std::optional<double>& p_near) {
  Decision decision;
  decision.route = wish.route;
  decision.reason = wish.reason;
  decision.detail = wish.detail;
  decision.score = wish.score;
  decision.threshold = wish.threshold;
  decision.confidence = p_near;
  return decision;
}

// weighed.best must be usable.
Decision LadderPolicy::ToFar(const Wish& wish, const Signals& signals,
                             const Weighed& weighed) const {
  const FarOption& option = *weighed.best;
  Decision decision = FromWish(wish, weighed.p_near);
  decision.target = option.far->name;
  decision.terms = TermsOf(option.value, weighed.p_near.has_value());
  decision.max_cost_usd = option.max_cost_usd;
  if (option.max_tokens < signals.request.max_tokens) decision.max_tokens = option.max_tokens;
  return decision;
}

Decision LadderPolicy::WithoutFar(const Wish& wish, const Signals& signals,
                                  const Weighed& weighed) const {
  const FarOption* const wanted = weighed.best;
  Decision decision = FromWish(wish, weighed.p_near);
  decision.reason = wanted != nullptr ? *wanted->blocked : Reason::kOffline;
  decision.detail = wanted != nullptr ? wanted->blocked_detail : "no far target can be had";
  if (!wish.detail.empty()) absl::StrAppend(&decision.detail, "; ", Wanted(wish));
  if (wanted != nullptr) decision.terms = TermsOf(wanted->value, weighed.p_near.has_value());
  const bool unreachable =
      decision.reason == Reason::kOffline || decision.reason == Reason::kBreakerOpen;
  const bool refuse =
      (unreachable && config_.offline == OfflineAnswer::kRefuse) ||
      (decision.reason == Reason::kBudgetSpent && config_.budget.when_spent == WhenSpent::kRefuse);
  const bool released = signals.draft && signals.draft->released;
  decision.flagged = true;
  decision.route = refuse && wish.route == Route::kFar && !released ? Route::kRefuse : Route::kNear;
  if (decision.route == Route::kNear) decision.max_tokens = NearMaxTokens(signals);
  return decision;
}

Decision LadderPolicy::Carry(const Wish& wish, const Signals& signals,
                             const Weighed& weighed) const {
  const FarOption* const option = weighed.best;
  if (wish.route == Route::kFar) {
    return weighed.usable() ? ToFar(wish, signals, weighed) : WithoutFar(wish, signals, weighed);
  }
  if (wish.route == Route::kDraft && option != nullptr && option->blocked) {
    return WithoutFar(wish, signals, weighed);
  }
  Decision decision = FromWish(wish, weighed.p_near);
  if (option != nullptr) decision.terms = TermsOf(option->value, weighed.p_near.has_value());
  decision.max_tokens = NearMaxTokens(signals);
  if (wish.route != Route::kDraft) return decision;
  if (option == nullptr) {
    decision.route = Route::kNear;  // nobody could take over: a draft would be judged in vain
  } else {
    decision.target = option->far->name;
  }
  return decision;
}

// --- during and after the draft ------------------------------------------------------------------

// A draft that must be kept, whatever it is worth.
Decision KeepDraft(const Signals& signals, Reason reason, std::string detail) {
  Decision decision;
  decision.route = signals.draft->finished ? Route::kNear : Route::kDraft;
  decision.reason = reason;
  decision.detail = std::move(detail);
  return decision;
}

Decision LadderPolicy::Reconsider(const Signals& signals) const {
  assert(signals.draft.has_value());
  const RuleOutcome rules = EvaluateRules(config_.rules, signals);
  Decision decision;
  if (const std::optional<Home> home = MustStayHome(signals, rules)) {
    decision = KeepDraft(signals, home->reason, home->detail);
    if (signals.draft->finished) decision.confidence = NearRight(signals);
  } else {
    decision = signals.draft->finished ? After(signals, rules) : During(signals, rules);
  }
  decision.taint = rules.taint;
  decision.bound_target = BoundTarget(signals, rules);
  return decision;
}

// The least P(rejected) at which stopping now is cheaper than going on: with near_usd still to
// spend, stopping costs far_usd and going on near_usd + pi far_usd.
double StopThreshold(const NetValue& value) {
  double threshold = 1;
  if (value.far_usd > 0) {
    threshold = 1 - value.near_usd / value.far_usd;
  } else if (value.near_usd > 0) {
    threshold = 0;
  }
  return std::clamp(threshold, kLeastStopProbability, 1.0);
}

Decision LadderPolicy::During(const Signals& signals, const RuleOutcome& rules) const {
  Decision keep = KeepDraft(signals, Reason::kKeepDrafting, "");
  if (signals.draft->tokens < config_.draft.min_tokens) return keep;
  const Weighed weighed = Weigh(signals, rules);
  if (!weighed.usable() || !kind_->StopsEarly(EvidenceOf(signals, weighed))) return keep;
  const std::optional<double> rejected = RejectProbability(signals, weighed);
  const NetValue& value = weighed.best->value;
  // Without a measured speed nothing is known of what is left to spend.
  if (!rejected || !value.near_seconds) return keep;
  const double threshold = StopThreshold(value);
  const bool doubtful = *rejected > threshold;
  const int windows = doubtful ? signals.draft->doubtful_windows + 1 : 0;
  Wish wish{Route::kFar, Reason::kEarlyExit, "", rejected, threshold};
  Decision decision = keep;
  if (windows >= kWindowsToStop) {
    decision = ToFar(wish, signals, weighed);
  } else {
    decision.target = weighed.best->far->name;
    decision.score = rejected;
    decision.threshold = threshold;
  }
  decision.confidence = std::nullopt;  // of the prompt alone: nothing is known of the draft yet
  decision.terms = {{"p_reject", *rejected, "probability"},
                    {"near_rest_usd", value.near_usd, "usd"},
                    {"far_usd", value.far_usd, "usd"}};
  decision.doubtful_windows = windows;
  return decision;
}

Decision LadderPolicy::After(const Signals& signals, const RuleOutcome& rules) const {
  const Weighed weighed = Weigh(signals, rules);
  const Wish wish = kind_->Judge(EvidenceOf(signals, weighed));
  if (wish.route == Route::kFar && weighed.options.empty()) {
    // Nobody could do better; the app learns that the draft was not good enough.
    Decision decision = FromWish(wish, weighed.p_near);
    decision.route = Route::kNear;
    decision.flagged = true;
    return decision;
  }
  return Carry(wish, signals, weighed);
}

std::optional<double> LadderPolicy::AcceptProbability(const Signals& signals) const {
  if (!signals.draft) return std::nullopt;
  const RuleOutcome rules = EvaluateRules(config_.rules, signals);
  if (MustStayHome(signals, rules)) return 1;
  const Weighed weighed = Weigh(signals, rules);
  if (!weighed.usable()) return 1;                                 // nobody could take over
  if (!kind_->StopsEarly(EvidenceOf(signals, weighed))) return 1;  // it judges nothing
  if (signals.draft->finished) return Reconsider(signals).route == Route::kNear ? 1 : 0;
  const std::optional<double> rejected = RejectProbability(signals, weighed);
  if (!rejected) return std::nullopt;
  return 1 - *rejected;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Policy>> MakePolicy(PolicyConfig config) {
  const std::vector<FieldError> errors = CheckPolicyConfig(config);
  if (!errors.empty()) {
    return absl::InvalidArgumentError(
        absl::StrJoin(errors, "\n", [](std::string* out, const FieldError& error) {
          absl::StrAppend(out, error.field, ": ", error.message);
        }));
  }
  return std::shared_ptr<const Policy>(std::make_shared<LadderPolicy>(std::move(config)));
}

absl::Status CheckCalibration(const PolicyConfig& config, const ModelBinding& loaded) {
  if (config.near.calibration == nullptr) {
    return absl::NotFoundError("the policy has no calibration (near.calibration)");
  }
  if (config.near.calibration->BelongsTo(loaded)) return absl::OkStatus();
  const ModelBinding& fitted = config.near.calibration->binding;
  std::vector<std::string> differing;
  const auto compare = [&](const char* field, const std::string& is, const std::string& now) {
    if (is == now) return;
    differing.push_back(absl::StrCat(field, " (fitted for '", is, "', loaded '", now, "')"));
  };
  compare("fingerprint", fitted.fingerprint, loaded.fingerprint);
  compare("quantization", fitted.quantization, loaded.quantization);
  compare("template_hash", fitted.template_hash, loaded.template_hash);
  compare("kv_type", fitted.kv_type, loaded.kv_type);
  compare("sampling", fitted.sampling, loaded.sampling);
  compare("adapter", fitted.adapter, loaded.adapter);
  compare("feature_version", absl::StrCat(fitted.feature_version),
          absl::StrCat(loaded.feature_version));
  return absl::FailedPreconditionError(absl::StrCat(
      "calibration '", config.near.calibration->name, "' does not belong to the loaded model: ",
      absl::StrJoin(differing, ", "), " (its probabilities count as unknown)"));
}

}  // namespace nearfar
