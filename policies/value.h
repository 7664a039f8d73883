// Net value: the one definition of what a far answer is worth, used before, during and after the
// draft. In USD:
//
//   net = v (p_far - p_near) - lambda price - second_usd (far_s - near_s) - joule_usd (far_J -
//   near_J)
//
// where near_s and near_J are what near has still to spend: all of its answer before the draft, its
// rest during it, nothing after it (the draft is sunk). lambda is the pacing price. So after a
// draft net > 0 is p_err > 1 - p_far + lambda price / v + waiting / v, the escalation rule of UCCI
// (arXiv 2605.18796) with latency. Held by tests/policies/value_test.cc.

#ifndef NEARFAR_POLICIES_VALUE_H_
#define NEARFAR_POLICIES_VALUE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "policies/decision.h"
#include "policies/policy_config.h"
#include "policies/signals.h"

namespace nearfar {

// Answer tokens expected where no calibration tells.
inline constexpr double kDefaultCompletionTokens = 128;
// Bytes of text a token stands for, where the prompt was not counted.
inline constexpr double kBytesPerToken = 4;

// Tokens that a template may add to the bytes of the text, in the upper bound of a bill.
inline constexpr int64_t kBillOverheadTokens = 64;
inline constexpr int64_t kBillOverheadTokensPerTurn = 16;

struct ExpectedTokens {
  double prompt = 0;
  double completion = 0;  // of a whole answer, at most request.max_tokens
  double remaining = 0;   // of the draft: completion before it, 0 when it is finished
};
ExpectedTokens ExpectTokens(const PolicyConfig& config, const Signals& signals);

struct NetValue {
  double p_near = 0;  // 0 where unknown: the comparison between targets stays right
  double p_far = 0;
  double gain_usd = 0;     // v (p_far - p_near)
  double price_usd = 0;    // lambda times the expected bill
  double latency_usd = 0;  // of waiting for far rather than for near; negative if far is faster
  double energy_usd = 0;
  double net_usd = 0;

  double far_usd = 0;   // all that far costs by itself: price, waiting, radio
  double near_usd = 0;  // what near has still to spend: waiting, computing
  double far_seconds = 0;
  std::optional<double> near_seconds;  // empty = speed unknown: then taken as far's
};

// p_far: by a calibration of this target, or its prior.
NetValue ValueOf(const PolicyConfig& config, const Signals& signals, const FarSignals& far,
                 std::optional<double> p_near, double p_far);

std::vector<Term> TermsOf(const NetValue& value, bool p_near_known);

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_VALUE_H_
