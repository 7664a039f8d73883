#include "policies/rules.h"

#include <algorithm>
#include <limits>

namespace nearfar {
namespace {

using Number = std::optional<double>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <typename T>
Number AsNumber(const std::optional<T>& value) {
  if (!value) return std::nullopt;
  return static_cast<double>(*value);
}

Number FarHealthy(const Signals& s) {
  return static_cast<double>(std::count_if(s.far.begin(), s.far.end(), [](const FarSignals& far) {
    return far.health == Health::kHealthy;
  }));
}

Number BudgetShare(const Signals& s) {
  if (!s.budget.limit_usd || *s.budget.limit_usd <= 0) return std::nullopt;
  return s.budget.spent_usd / *s.budget.limit_usd;
}

constexpr SignalName kSignals[] = {
    {"prompt_tokens", "tokens of the conversation in the near model's template", 0, kInfinity,
     [](const Signals& s) { return AsNumber(s.prompt.tokens); }},
    {"prompt_bytes", "UTF-8 bytes of the last user turn", 0, kInfinity,
     [](const Signals& s) -> Number { return static_cast<double>(s.prompt.bytes); }},
    {"turns", "turns of the conversation", 0, kInfinity,
     [](const Signals& s) -> Number { return s.prompt.turns; }},
    {"has_code", "1 where the last turn holds program text, else 0", 0, 1,
     [](const Signals& s) -> Number { return s.prompt.has_code ? 1 : 0; }},
    {"max_tokens", "answer tokens that the request allows", 0, kInfinity,
     [](const Signals& s) -> Number { return s.request.max_tokens; }},
    {"battery", "charge, 0 to 1", 0, 1, [](const Signals& s) { return s.device.battery; }},
    {"on_battery", "1 on battery, 0 on mains", 0, 1,
     [](const Signals& s) { return AsNumber(s.device.on_battery); }},
    {"temperature", "hottest sensor, degrees Celsius", -273.15, kInfinity,
     [](const Signals& s) { return s.device.temperature_celsius; }},
    {"thermal", "0 cool, 1 warm, 2 hot, 3 critical", 0, 3,
     [](const Signals& s) -> Number {
       if (!s.device.thermal) return std::nullopt;
       return static_cast<double>(*s.device.thermal);
     }},
    {"free_memory_bytes", "memory that can be had without swapping", 0, kInfinity,
     [](const Signals& s) { return AsNumber(s.device.free_memory_bytes); }},
    {"cpu_load", "one-minute load over cores", 0, kInfinity,
     [](const Signals& s) { return s.device.cpu_load; }},
    {"near_tokens_per_second", "measured decoding speed of the near model", 0, kInfinity,
     [](const Signals& s) { return s.near.decode_tokens_per_second; }},
    {"far_healthy", "far targets known to be healthy", 0, kInfinity, FarHealthy},
    {"budget_remaining_usd", "what is left of the budget; unknown without a limit", 0, kInfinity,
     [](const Signals& s) { return s.budget.remaining_usd(); }},
    {"budget_spent_share",
     "spent over limit; unknown without a limit; above 1 where more was spent", 0, kInfinity,
     BudgetShare},
    {"pacing_price", "multiplier that budget pacing puts on prices", 1, kInfinity,
     [](const Signals& s) -> Number { return s.budget.pacing_price; }},
};

Truth FromBool(bool value) { return value ? Truth::kTrue : Truth::kFalse; }

Truth Not(Truth value) {
  if (value == Truth::kUnknown) return value;
  return FromBool(value == Truth::kFalse);
}

// The largest (any) or the smallest (all) of the children, false < unknown < true.
Truth Any(const std::vector<RuleCondition>& children, const Signals& signals) {
  Truth result = Truth::kFalse;
  for (const RuleCondition& child : children) result = std::max(result, Evaluate(child, signals));
  return result;
}

Truth All(const std::vector<RuleCondition>& children, const Signals& signals) {
  Truth result = Truth::kTrue;
  for (const RuleCondition& child : children) result = std::min(result, Evaluate(child, signals));
  return result;
}

Truth KeywordFound(const RuleCondition& condition, const Signals& signals) {
  const std::vector<std::string>& found = signals.prompt.findings.keywords;
  return FromBool(
      std::any_of(condition.words.begin(), condition.words.end(), [&](const auto& word) {
        return std::find(found.begin(), found.end(), word) != found.end();
      }));
}

Truth SignalInRange(const RuleCondition& condition, const Signals& signals) {
  const SignalName* signal = FindSignalName(condition.signal);
  if (signal == nullptr) return Truth::kUnknown;
  const Number value = signal->value(signals);
  if (!value) return Truth::kUnknown;
  return FromBool((!condition.above || *value > *condition.above) &&
                  (!condition.below || *value < *condition.below));
}

Truth LanguageIs(const RuleCondition& condition, const Signals& signals) {
  if (signals.prompt.language.empty()) return Truth::kUnknown;
  return FromBool(std::find(condition.words.begin(), condition.words.end(),
                            signals.prompt.language) != condition.words.end());
}

// No far target could answer now. A target whose health is not known yet may.
bool IsOffline(const Signals& signals) {
  return std::none_of(signals.far.begin(), signals.far.end(), [](const FarSignals& far) {
    return far.health == Health::kHealthy || far.health == Health::kUnknown;
  });
}

void CollectKeywords(const RuleCondition& condition, std::vector<std::string>* keywords) {
  if (condition.kind == RuleCondition::Kind::kKeyword) {
    for (const std::string& word : condition.words) {
      if (std::find(keywords->begin(), keywords->end(), word) == keywords->end()) {
        keywords->push_back(word);
      }
    }
  }
  for (const RuleCondition& child : condition.children) CollectKeywords(child, keywords);
}

}  // namespace

absl::Span<const SignalName> SignalNames() { return kSignals; }

const SignalName* FindSignalName(std::string_view name) {
  for (const SignalName& signal : kSignals) {
    if (name == signal.name) return &signal;
  }
  return nullptr;
}

Truth Evaluate(const RuleCondition& condition, const Signals& signals) {
  switch (condition.kind) {
    case RuleCondition::Kind::kAny:
      return Any(condition.children, signals);
    case RuleCondition::Kind::kAll:
      return All(condition.children, signals);
    case RuleCondition::Kind::kNot:
      return Not(All(condition.children, signals));
    case RuleCondition::Kind::kKeyword:
      return KeywordFound(condition, signals);
    case RuleCondition::Kind::kPii:
      return FromBool(signals.prompt.findings.pii & condition.pii);
    case RuleCondition::Kind::kSignal:
      return SignalInRange(condition, signals);
    case RuleCondition::Kind::kNeedsJson:
      return FromBool(signals.prompt.needs_json == condition.wanted);
    case RuleCondition::Kind::kLanguage:
      return LanguageIs(condition, signals);
    case RuleCondition::Kind::kOffline:
      return FromBool(IsOffline(signals) == condition.wanted);
  }
  return Truth::kUnknown;
}

std::vector<std::string> KeywordsOf(const std::vector<RuleConfig>& rules) {
  std::vector<std::string> keywords;
  for (const RuleConfig& rule : rules) CollectKeywords(rule.when, &keywords);
  return keywords;
}

RuleOutcome EvaluateRules(const std::vector<RuleConfig>& rules, const Signals& signals) {
  RuleOutcome outcome;
  for (const RuleConfig& rule : rules) {
    const Truth truth = Evaluate(rule.when, signals);
    if (truth == Truth::kFalse) continue;
    if (rule.taint > outcome.taint) {
      outcome.taint = rule.taint;
      outcome.tainted_by = &rule;
    }
    if (truth == Truth::kTrue && rule.route && outcome.routed_by == nullptr) {
      outcome.routed_by = &rule;
    }
  }
  return outcome;
}

}  // namespace nearfar
