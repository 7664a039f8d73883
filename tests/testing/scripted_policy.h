// A policy whose word is a test's: each question is answered by a function. What is not set behaves
// as a policy without rules and calibration would.

#ifndef NEARFAR_TESTS_TESTING_SCRIPTED_POLICY_H_
#define NEARFAR_TESTS_TESTING_SCRIPTED_POLICY_H_

#include <functional>
#include <optional>
#include <utility>

#include "policies/policy.h"

namespace nearfar::testing {

class ScriptedPolicy : public Policy {
 public:
  PolicyConfig settings;
  std::function<Decision(const Signals&)> choose = [](const Signals&) { return Decision(); };
  std::function<Decision(const Signals&)> reconsider = [](const Signals& signals) {
    Decision keep;
    keep.route = signals.draft->finished ? Route::kNear : Route::kDraft;
    keep.reason = signals.draft->finished ? Reason::kDraftAccepted : Reason::kKeepDrafting;
    return keep;
  };
  std::function<std::optional<double>(const Signals&)> accept = [](const Signals&) {
    return std::nullopt;
  };
  std::function<TextFindings(std::string_view)> scan = [](std::string_view) {
    return TextFindings();
  };
  std::function<Taint(const Signals&)> taint = [](const Signals&) { return Taint::kNone; };

  const PolicyConfig& config() const override { return settings; }
  TextFindings ScanText(std::string_view text) const override { return scan(text); }
  Taint TaintOf(const Signals& signals) const override { return taint(signals); }
  Decision Choose(const Signals& signals) const override { return choose(signals); }
  Decision Reconsider(const Signals& signals) const override { return reconsider(signals); }
  std::optional<double> AcceptProbability(const Signals& signals) const override {
    return accept(signals);
  }
};

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_SCRIPTED_POLICY_H_
