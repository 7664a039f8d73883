#include "policies/check_config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "policies/detectors/keywords.h"
#include "policies/detectors/pii.h"
#include "policies/estimators/bound_head.h"
#include "policies/estimators/prompt_features.h"
#include "policies/kinds/kind.h"
#include "policies/rules.h"

namespace nearfar {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kMaxConditionDepth = 32;
constexpr const char* kProtocols[] = {"nearfar"};

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool IsKnownLanguage(std::string_view tag) {
  const absl::Span<const char* const> known = KnownLanguages();
  return std::find(known.begin(), known.end(), tag) != known.end();
}

// Collects mistakes; the Check* methods follow the schema from top to bottom.
class Checker {
 public:
  explicit Checker(const PolicyConfig& config) : config_(config) {}

  std::vector<FieldError> Run() {
    CheckValue();
    CheckNear();
    for (size_t i = 0; i < config_.far.size(); ++i) CheckFar(i);
    CheckBudget();
    for (size_t i = 0; i < config_.rules.size(); ++i) CheckRule(i);
    CheckChoose();
    CheckDraft();
    CheckStream();
    Range("device.battery_floor", config_.device.battery_floor, 0, 1);
    if (config_.log.keep <= absl::ZeroDuration()) {
      Add("log.keep", "must be above 0 (say how long decisions are kept, as \"30d\")");
    }
    return std::move(errors_);
  }

 private:
  void Add(std::string field, std::string message) {
    errors_.push_back({std::move(field), std::move(message)});
  }

  // Adds an error unless low <= value <= high; high may be infinite, the value never.
  void Range(const std::string& field, double value, double low, double high) {
    if (value >= low && value <= high && std::isfinite(value)) return;
    if (high == kInfinity) {
      Add(field, absl::StrCat("must be a number of at least ", low, ", it is ", value));
    } else {
      Add(field, absl::StrCat("must be between ", low, " and ", high, ", it is ", value));
    }
  }

  void Above(const std::string& field, double value, double low) {
    if (value > low && std::isfinite(value)) return;
    Add(field, absl::StrCat("must be above ", low, ", it is ", value));
  }

  void CheckValue() {
    Range("value.right_answer_usd", config_.value.right_answer_usd, 0, kInfinity);
    Range("value.second_usd", config_.value.second_usd, 0, kInfinity);
    Range("value.joule_usd", config_.value.joule_usd, 0, kInfinity);
    Range("value.device_watts", config_.value.device_watts, 0, kInfinity);
    Range("value.radio_watts", config_.value.radio_watts, 0, kInfinity);
  }

  void CheckHeadOf(const char* name, const LogisticHead& head, HeadKind kind) {
    if (absl::Status status = CheckHead(head, kind); !status.ok()) {
      Add("near.calibration", absl::StrCat("head ", name, ": ", status.message()));
    }
  }

  void CheckNear() {
    const Route route = config_.near.when_unknown;
    if (route == Route::kRefuse) {
      Add("near.when_unknown", "must be near, far or draft");
    } else if (route == Route::kFar && config_.far.empty()) {
      Add("near.when_unknown", "is far, but no far target is configured (add one, or say near)");
    }
    const Calibration* calibration = config_.near.calibration.get();
    if (calibration == nullptr) return;
    if (calibration->prompt_near) {
      CheckHeadOf("prompt_near", *calibration->prompt_near, HeadKind::kPrompt);
    }
    for (const FarHead& far : calibration->prompt_far) {
      CheckHeadOf("prompt_far", far.head, HeadKind::kPrompt);
    }
    if (calibration->draft) CheckHeadOf("draft", *calibration->draft, HeadKind::kDraft);
    if (calibration->prefix) CheckHeadOf("prefix", *calibration->prefix, HeadKind::kDraft);
    if (absl::Status status = calibration->CheckPrefix(); !status.ok()) {
      Add("near.calibration", absl::StrCat("prefix_deviation ", status.message()));
    }
  }

  void CheckFar(size_t i) {
    const FarConfig& far = config_.far[i];
    const std::string at = absl::StrCat("far[", i, "].");
    if (far.name.empty()) {
      Add(at + "name", "is missing (every far target needs a name of its own)");
    } else if (far.name == "near") {
      Add(at + "name", "'near' means the device (choose another name)");
    } else if (!far_names_.insert(far.name).second) {
      Add(at + "name", absl::StrCat("'", far.name, "' is the name of an earlier far target too"));
    }
    CheckFarTarget(far, at);
    CheckPrice(at + "price.input_usd_per_mtok", far.input_usd_per_mtok);
    CheckPrice(at + "price.output_usd_per_mtok", far.output_usd_per_mtok);
    Range(at + "context_tokens", static_cast<double>(far.context_tokens), 64, 1e8);
    Range(at + "prior_right", far.prior_right, 0, 1);
    Range(at + "expected_ttft_seconds", far.expected_ttft_seconds, 0, kInfinity);
    Above(at + "expected_tokens_per_second", far.expected_tokens_per_second, 0);
  }

  void CheckPrice(const std::string& field, std::optional<double> usd) {
    if (usd) {
      Range(field, *usd, 0, kInfinity);
    } else if (config_.budget.limit_usd) {
      Add(field,
          "is missing, and what has no price never reaches budget.limit_usd (say what the target "
          "charges; 0 if it is free)");
    }
  }

  void CheckFarTarget(const FarConfig& far, const std::string& at) {
    bool known = false;
    for (const char* protocol : kProtocols) known = known || far.protocol == protocol;
    if (!known) {
      Add(at + "protocol", absl::StrCat("'", far.protocol, "' is not a known protocol (known: ",
                                        absl::StrJoin(kProtocols, ", "), ")"));
    }
    if (far.target.empty()) {
      Add(at + "target", "is missing (a gRPC target, as \"dns:///host:port\" or \"unix:/path\")");
    } else if (!far.tls && !far.allow_plaintext && !IsLocalTarget(far.target)) {
      Add(at + "target",
          absl::StrCat("'", far.target,
                       "' is not on this machine and has no TLS (add tls: {}, or "
                       "allow_plaintext: true if everyone on the way may read and change it)"));
    }
    CheckTls(far, at);
    if (!far.api_key.empty() && !StartsWith(far.api_key, "env:") &&
        !StartsWith(far.api_key, "file:")) {
      Add(at + "api_key",
          "must be a reference, env:NAME or file:PATH (a key never stands in a policy)");
    } else if (far.api_key == "env:" || far.api_key == "file:") {
      Add(at + "api_key", "names nothing after the colon (write env:NAME or file:PATH)");
    }
  }

  void CheckTls(const FarConfig& far, const std::string& at) {
    if (!far.tls) return;
    if (far.tls->cert_file.empty() != far.tls->key_file.empty()) {
      Add(at + "tls",
          "needs cert_file and key_file together (or neither, without a client certificate)");
    }
    if (far.allow_plaintext) {
      Add(at + "allow_plaintext", "contradicts tls (drop one of the two)");
    }
  }

  void CheckBudget() {
    const auto& budget = config_.budget;
    if (budget.limit_usd) Range("budget.limit_usd", *budget.limit_usd, 0, kInfinity);
    if (budget.window < absl::Minutes(1)) {
      Add("budget.window", "must be at least one minute (as \"24h\" or \"7d\")");
    }
    if (budget.pacing == Pacing::kDual && !budget.limit_usd) {
      Add("budget.pacing", "dual paces towards a limit, but budget.limit_usd is missing");
    }
    const double limit = budget.limit_usd.value_or(kInfinity);
    Range("budget.lease_usd", budget.lease_usd, 0, limit >= 0 ? limit : kInfinity);
  }

  void CheckRule(size_t i) {
    const RuleConfig& rule = config_.rules[i];
    const std::string at = absl::StrCat("rules[", i, "].");
    if (rule.name.empty()) {
      Add(at + "name", "is missing (decisions name the rule that took them)");
    } else if (!rule_names_.insert(rule.name).second) {
      Add(at + "name", absl::StrCat("'", rule.name, "' is the name of an earlier rule too"));
    }
    CheckCondition(rule.when, at + "when", 0);
    if (!rule.route && rule.taint == Taint::kNone) {
      Add(at + "then", "does nothing (give it a route or a taint)");
    }
    if (rule.taint != Taint::kNone && rule.route &&
        (*rule.route == Route::kFar || *rule.route == Route::kDraft)) {
      Add(at + "then", absl::StrCat("taints and routes ", RouteName(*rule.route),
                                    ": what is tainted stays near (say route: near or refuse)"));
    }
    CheckRuleTarget(rule, at);
  }

  void CheckRuleTarget(const RuleConfig& rule, const std::string& at) {
    const bool far = rule.route == Route::kFar;
    if (far && config_.far.empty()) {
      Add(at + "then.route", "is far, but no far target is configured");
    }
    if (rule.target.empty()) return;
    if (!far) {
      Add(at + "then.target", "belongs to route: far");
    } else if (far_names_.count(rule.target) == 0) {
      Add(at + "then.target",
          absl::StrCat("'", rule.target, "' is not a far target (known: ",
                       far_names_.empty() ? "none" : absl::StrJoin(far_names_, ", "), ")"));
    }
  }

  void CheckCondition(const RuleCondition& condition, const std::string& at, int depth) {
    if (depth > kMaxConditionDepth) {
      Add(at, absl::StrCat("is nested deeper than ", kMaxConditionDepth));
      return;
    }
    switch (condition.kind) {
      case RuleCondition::Kind::kAny:
      case RuleCondition::Kind::kAll:
      case RuleCondition::Kind::kNot:
        return CheckChildren(condition, at, depth);
      case RuleCondition::Kind::kKeyword:
        return CheckKeywords(condition, at + ".keyword");
      case RuleCondition::Kind::kLanguage:
        return CheckLanguages(condition, at + ".language");
      case RuleCondition::Kind::kPii:
        if (condition.pii == 0) Add(at + ".pii", "names no kind of personal data");
        return;
      case RuleCondition::Kind::kSignal:
        return CheckSignal(condition, at);
      case RuleCondition::Kind::kNeedsJson:
      case RuleCondition::Kind::kOffline:
        return;
    }
  }

  void CheckChildren(const RuleCondition& condition, const std::string& at, int depth) {
    const bool negation = condition.kind == RuleCondition::Kind::kNot;
    const std::string name = negation                                      ? ".not"
                             : condition.kind == RuleCondition::Kind::kAny ? ".any"
                                                                           : ".all";
    if (condition.children.empty()) Add(at + name, "is empty (list at least one condition)");
    for (size_t i = 0; i < condition.children.size(); ++i) {
      CheckCondition(condition.children[i],
                     negation ? at + name : absl::StrCat(at, name, "[", i, "]"), depth + 1);
    }
  }

  void CheckKeywords(const RuleCondition& condition, const std::string& at) {
    if (condition.words.empty()) Add(at, "is empty (list at least one word)");
    for (size_t i = 0; i < condition.words.size(); ++i) {
      const std::string& word = condition.words[i];
      // What is not found in its own text is found in none.
      if (KeywordScanner({word}).Find(word).empty()) {
        Add(absl::StrCat(at, "[", i, "]"),
            word.empty() ? "is empty"
                         : "holds nothing that is ever found in a text (write a word of it)");
      }
    }
  }

  void CheckLanguages(const RuleCondition& condition, const std::string& at) {
    if (condition.words.empty()) Add(at, "is empty (list at least one language)");
    for (size_t i = 0; i < condition.words.size(); ++i) {
      const std::string& word = condition.words[i];
      if (IsKnownLanguage(word)) continue;
      // "en-US", "EN": the primary tag is what is told apart.
      const std::string tag = absl::AsciiStrToLower(word.substr(0, word.find_first_of("-_")));
      Add(absl::StrCat(at, "[", i, "]"),
          absl::StrCat("'", word, "' is not a language that is recognised (",
                       IsKnownLanguage(tag) ? absl::StrCat("did you mean ", tag, "? ") : "",
                       "known: ", absl::StrJoin(KnownLanguages(), ", "), ")"));
    }
  }

  // A bound that the signal cannot pass would hold always, or (where it is `never`) at no time.
  void CheckBound(const SignalName& signal, const std::string& at, const char* side,
                  std::optional<double> bound, double never) {
    if (!bound || !std::isfinite(*bound)) return;
    const std::string field = absl::StrCat(at, ".", side);
    Range(field, *bound, signal.low, signal.high);
    if (*bound == never) {
      Add(field, absl::StrCat("can never hold: ", signal.name, " is never ", side, " ", never));
    }
  }

  void CheckSignal(const RuleCondition& condition, const std::string& at) {
    if (const SignalName* signal = FindSignalName(condition.signal)) {
      CheckBound(*signal, at, "above", condition.above, signal->high);
      CheckBound(*signal, at, "below", condition.below, signal->low);
    } else {
      Add(at + ".signal",
          absl::StrCat("'", condition.signal, "' is not a known signal (known: ",
                       absl::StrJoin(SignalNames(), ", ",
                                     [](std::string* out, const SignalName& signal) {
                                       absl::StrAppend(out, signal.name);
                                     }),
                       ")"));
    }
    if (!condition.above && !condition.below) {
      Add(at + ".signal", "is compared with nothing (add above: or below:)");
    }
    for (const auto& bound : {condition.above, condition.below}) {
      if (bound && !std::isfinite(*bound)) Add(at, "above and below must be finite numbers");
    }
    if (condition.above && condition.below && *condition.above >= *condition.below) {
      Add(at, absl::StrCat("can never hold: above ", *condition.above, " and below ",
                           *condition.below));
    }
  }

  void CheckChoose() {
    const auto& choose = config_.choose;
    if (choose.route == Route::kRefuse) {
      Add("choose.route", "must be near, far or draft");
    } else if (choose.kind == PolicyKind::kFixed && choose.route == Route::kFar &&
               config_.far.empty()) {
      Add("choose.route", "is far, but no far target is configured");
    }
    Range("choose.threshold", choose.threshold, 0, 1);
    if (!std::isfinite(choose.margin_usd)) Add("choose.margin_usd", "must be a finite number");
  }

  void CheckDraft() {
    const auto& draft = config_.draft;
    Range("draft.check_every_tokens", draft.check_every_tokens, 1, 4096);
    Range("draft.hold_back_tokens", draft.hold_back_tokens, 0, 4096);
    Range("draft.min_tokens", draft.min_tokens, 1, 4096);
    if (draft.min_confidence) Range("draft.accept.min_confidence", *draft.min_confidence, 0, 1);
    if (!draft.max_wrong_accepted) return;
    const double bound = *draft.max_wrong_accepted;
    if (!(bound > 0 && bound < 1)) {
      Add("draft.accept.max_wrong_accepted",
          absl::StrCat("must be between 0 and 1, it is ", bound));
    } else if (config_.near.calibration == nullptr) {
      Add("draft.accept.max_wrong_accepted",
          "needs a calibration that holds its threshold (set near.calibration)");
    } else if (*ConfiguredMinConfidence(config_) > 1) {
      Add("draft.accept.max_wrong_accepted",
          absl::StrCat("the calibration holds no threshold for ", bound,
                       " or less (raise it, or fit on more questions)"));
    }
  }

  void CheckStream() {
    Range("stream.release_at", config_.stream.release_at, 0, 1);
    if (config_.stream.release == Release::kConfident &&
        config_.draft.hold_back_tokens < config_.draft.check_every_tokens) {
      Add("draft.hold_back_tokens",
          absl::StrCat("must be at least check_every_tokens (", config_.draft.check_every_tokens,
                       ") with stream.release confident, it is ", config_.draft.hold_back_tokens,
                       " (text would be out before it was checked)"));
    }
  }

  const PolicyConfig& config_;
  std::vector<FieldError> errors_;
  std::set<std::string> far_names_, rule_names_;
};

// The addresses of "dns:///host:port", "dns://authority/host:port", "host:port", or of gRPC's
// lists, "ipv4:host:port,host:port".
std::string_view AddressesOf(std::string_view target) {
  const size_t slash = target.rfind('/');
  if (slash != std::string_view::npos) target.remove_prefix(slash + 1);
  for (std::string_view scheme : {"dns:", "ipv4:", "ipv6:"}) {
    if (StartsWith(target, scheme)) target.remove_prefix(scheme.size());
  }
  return target;
}

// The host of "host:port" or "[host]:port".
std::string_view HostOf(std::string_view address) {
  if (StartsWith(address, "[")) return address.substr(1, address.find(']') - 1);
  return address.substr(0, address.rfind(':'));
}

bool IsLoopback(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  // 127/8 in dotted form only: "127.evil.example" is a name.
  return StartsWith(host, "127.") &&
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

bool IsLocalTarget(std::string_view target) {
  if (StartsWith(target, "unix:") || StartsWith(target, "unix-abstract:")) return true;
  // gRPC calls whichever address of a list answers: every one counts.
  std::string_view rest = AddressesOf(target);
  while (true) {
    const size_t comma = rest.find(',');
    if (!IsLoopback(HostOf(rest.substr(0, comma)))) return false;
    if (comma == std::string_view::npos) return true;
    rest.remove_prefix(comma + 1);
  }
}

std::vector<FieldError> CheckPolicyConfig(const PolicyConfig& config) {
  return Checker(config).Run();
}

}  // namespace nearfar
