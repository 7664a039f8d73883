// A policy: an immutable, pure decider.
//
//   absl::StatusOr<std::shared_ptr<const Policy>> policy = MakePolicy(config);
//   Decision before = (*policy)->Choose(signals);            // before any model ran
//   signals.draft = ...;
//   Decision later = (*policy)->Reconsider(signals);         // during and after the draft
//
// Order of both: privacy and taint, a request for near, rules, then the policy kind
// (policies/kinds/) and a request for far; hard limits (offline, breaker, budget, context,
// capability, device) bind whatever was wanted. Choose returns near, far, draft or refuse.
// Reconsider returns, while the draft runs, draft (keep drafting) or far (hand over now); of a
// finished draft near (accept), far (escalate) or, where its replacement cannot be had and the
// policy says so, refuse. A rule that says near or refuse only then keeps the draft: it is here.
//
// Thread-safety: immutable. No clock, no I/O, no randomness but Signals::uniform_draw: the same
// signals give the same decision. Held by tests/policies/policy_test.cc.

#ifndef NEARFAR_POLICIES_POLICY_H_
#define NEARFAR_POLICIES_POLICY_H_

#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "policies/decision.h"
#include "policies/policy_config.h"
#include "policies/signals.h"

namespace nearfar {

class Policy {
 public:
  virtual ~Policy() = default;

  virtual const PolicyConfig& config() const = 0;

  // What the policy's rules look for in a text: keywords of its rules and all PII kinds. Pure.
  virtual TextFindings ScanText(std::string_view text) const = 0;
  // What the rules ask of a turn with these findings, before any route is chosen.
  virtual Taint TaintOf(const Signals& signals) const = 0;

  virtual Decision Choose(const Signals& signals) const = 0;
  // signals.draft must be set.
  virtual Decision Reconsider(const Signals& signals) const = 0;

  // Calibrated P(the draft will be accepted | prefix or finished draft); what release mode
  // "confident" compares with release_at. Empty = unknown.
  virtual std::optional<double> AcceptProbability(const Signals& signals) const = 0;
};

// Errors: InvalidArgument names the field.
absl::StatusOr<std::shared_ptr<const Policy>> MakePolicy(PolicyConfig config);

// Why the calibration's probabilities are unknown for this binding, or OK if they hold.
// FailedPrecondition lists each field that differs; NotFound: the policy has no calibration.
absl::Status CheckCalibration(const PolicyConfig& config, const ModelBinding& loaded);

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_POLICY_H_
