// The rules of a policy, ready to be evaluated. Rules look at signals only: the text was scanned
// before (Policy::ScanText), so a decision can be replayed without it.
//
// Unknown is not false: a condition on a signal that is not known is itself unknown, and any, all
// and not follow Kleene's three-valued logic. A rule that only routes acts when its condition is
// true; a rule that taints also acts when it is unknown: privacy fails closed.
//
// Immutable. Held by tests/policies/rules_test.cc.

#ifndef NEARFAR_POLICIES_RULES_H_
#define NEARFAR_POLICIES_RULES_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "policies/policy_config.h"
#include "policies/signals.h"

namespace nearfar {

// The numbers that `signal:` conditions may name, each with its meaning and the least and the
// largest value that it can have: a bound beyond them is a mistake.
struct SignalName {
  const char* name;
  const char* meaning;
  double low, high;                                        // both included; high may be infinite
  std::optional<double> (*value)(const Signals& signals);  // empty = unknown
};
absl::Span<const SignalName> SignalNames();
const SignalName* FindSignalName(std::string_view name);  // nullptr = none

enum class Truth { kFalse, kUnknown, kTrue };
Truth Evaluate(const RuleCondition& condition, const Signals& signals);

// All keywords that the rules look for, each once.
std::vector<std::string> KeywordsOf(const std::vector<RuleConfig>& rules);

// What the rules ask: the strongest taint of all that act, and the first that routes.
struct RuleOutcome {
  Taint taint = Taint::kNone;
  const RuleConfig* tainted_by = nullptr;  // first of the strongest taint
  const RuleConfig* routed_by = nullptr;   // first rule with a route whose condition is true
};
RuleOutcome EvaluateRules(const std::vector<RuleConfig>& rules, const Signals& signals);

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_RULES_H_
