// What a policy decided, why, and by which numbers.

#ifndef NEARFAR_POLICIES_DECISION_H_
#define NEARFAR_POLICIES_DECISION_H_

#include <optional>
#include <string>
#include <vector>

#include "policies/signals.h"

namespace nearfar {

// Stable codes; ReasonName gives the spelling that logs, metrics and the wire use.
enum class Reason {
  kRule,            // a rule of the policy matched; `detail` names it
  kRequest,         // the request's own options
  kTainted,         // the session or turn must stay on the device
  kOffline,         // no far target is configured or reachable
  kBreakerOpen,     // every far target that would do has an open breaker
  kBudgetSpent,     // the budget does not hold the call
  kContextTooLong,  // only one side's context holds the conversation
  kCapability,      // only one side can do what is needed (JSON)
  kDevice,          // battery or heat forbids local work
  kUncalibrated,    // probabilities are unknown: the policy's fallback acted
  kFixed,           // policy kind fixed
  kThreshold,       // policy kind threshold
  kNetValue,        // policy kind net_value
  kCascade,         // policy kind cascade: draft first
  kDraftAccepted,   // the finished draft is good enough
  kDraftRejected,   // it is not: a far target answers
  kEarlyExit,       // stopped in mid-draft
  kKeepDrafting,    // no reason to stop the draft
  kFarFailed,       // the far call failed; near answers, flagged
  kNearFailed,      // the near side failed; a far target answers
};
const char* ReasonName(Reason reason);  // "rule", "net_value", "budget_spent", ...

// A number that was weighed.
struct Term {
  std::string name;
  double value = 0;
  std::string unit;  // "probability", "usd", "s", "tokens", ""
};

// The nearest change of one input that would change the route, found by running the same decision
// with that input changed (policies/explain.h).
struct Flip {
  std::string input;
  double current = 0;
  double flips_at = 0;
  Route to = Route::kNear;
  std::string unit;
};

enum class Taint { kNone, kTurn, kSession };

struct Decision {
  Route route = Route::kNear;
  std::string target;  // of kFar, and where a rejected draft goes
  Reason reason = Reason::kFixed;
  std::string detail;  // for people
  std::optional<double> score;
  std::optional<double> threshold;
  std::vector<Term> terms;
  std::vector<Flip> flips;           // filled by Explain only
  double propensity = 1;             // probability with which this route is taken
  std::optional<double> confidence;  // calibrated P(near right); empty = unknown
  double max_cost_usd = 0;           // of a far call: what may be reserved for it
  int max_tokens = 0;                // clipped to what budget and contexts hold; 0 = as asked
  Taint taint = Taint::kNone;        // what this turn's rules ask for
  std::string bound_target;  // the only far target that a rule of this turn allows, "" = any; goes
                             // back in as Signals::bound_target at the next decision on the turn
  bool flagged = false;      // another route was wanted, or a limit asked for, and could not be had
  int doubtful_windows = 0;  // checks in a row that spoke against the draft; goes back in as
                             // DraftSignals::doubtful_windows at the next check
};

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_DECISION_H_
