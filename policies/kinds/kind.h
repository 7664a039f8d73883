// What a policy kind sees and says. The ladder (policies/policy.cc) has dealt with privacy, limits
// and rules; a kind only says which route it wants, as if every far target could be had. Whether
// that can be done, and what happens if it cannot, is the ladder's affair.
//
// One kind is one file in this folder and one line in all_kinds.cc.

#ifndef NEARFAR_POLICIES_KINDS_KIND_H_
#define NEARFAR_POLICIES_KINDS_KIND_H_

#include <optional>
#include <string>
#include <vector>

#include "policies/decision.h"
#include "policies/policy_config.h"
#include "policies/signals.h"
#include "policies/value.h"

namespace nearfar {

// A far target, weighed.
struct FarOption {
  const FarSignals* far = nullptr;
  NetValue value;
  std::optional<Reason> blocked;  // empty = usable
  std::string blocked_detail;
  double max_cost_usd = 0;
  int max_tokens = 0;  // that the budget and its context hold
};

struct Evidence {
  const PolicyConfig& config;
  const Signals& signals;
  std::optional<double> p_near;     // calibrated P(near right) at this moment; empty = unknown
  bool can_judge = false;           // a finished draft could be judged
  const FarOption* best = nullptr;  // usable of the highest net value, else blocked; nullptr = none
};

// What a kind wants. Only kNear, kFar and kDraft of Choose; kNear (accept) and kFar (escalate) of
// Judge.
struct Wish {
  Route route = Route::kNear;
  Reason reason = Reason::kFixed;
  std::string detail;
  std::optional<double> score;
  std::optional<double> threshold;
};

// Immutable.
class Kind {
 public:
  virtual ~Kind() = default;
  // Before any model ran.
  virtual Wish Choose(const Evidence& evidence) const = 0;
  // Of a finished draft. The default accepts by draft.accept of the policy where that is set (the
  // stricter of it and the request's min_confidence), else by net value.
  virtual Wish Judge(const Evidence& evidence) const;
  // The least P(near right) with which Judge would accept the draft, were it finished now; 0 or
  // less = with any, above 1 = with none.
  virtual double LeastAccepted(const Evidence& evidence) const;
  // Whether a draft may be stopped before it is finished.
  virtual bool StopsEarly(const Evidence& evidence) const { return true; }
};

// The least P(near right) that draft.accept asks for; empty = it says nothing. max_wrong_accepted
// is looked up in the calibration: the entry for the largest bound that is no looser.
std::optional<double> ConfiguredMinConfidence(const PolicyConfig& config);

// What near.when_unknown wants where a probability is missing.
Wish WishWhenUnknown(const Evidence& evidence);

// Accepts iff p_near >= threshold.
Wish JudgeByConfidence(const Evidence& evidence, double threshold);
// Escalates iff the net value of the best target is above 0.
Wish JudgeByNetValue(const Evidence& evidence);

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_KINDS_KIND_H_
