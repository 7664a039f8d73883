#include "policies/kinds/kind.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace nearfar {
namespace {

// Of max_wrong_accepted. Empty = the calibration promises nothing so strict.
std::optional<double> RiskThreshold(const PolicyConfig& config) {
  if (config.near.calibration == nullptr) return std::nullopt;
  std::optional<std::pair<double, double>> best;
  for (const auto& [bound, confidence] : config.near.calibration->fit.risk) {
    if (bound <= *config.draft.max_wrong_accepted && (!best || bound > best->first)) {
      best = {bound, confidence};
    }
  }
  if (!best) return std::nullopt;
  return best->second;
}

}  // namespace

std::optional<double> ConfiguredMinConfidence(const PolicyConfig& config) {
  std::optional<double> threshold = config.draft.min_confidence;
  if (!config.draft.max_wrong_accepted) return threshold;
  // Where no threshold is known for the bound nothing can be accepted under it: above 1.
  return std::max(threshold.value_or(0), RiskThreshold(config).value_or(2));
}

Wish WishWhenUnknown(const Evidence& evidence) {
  Wish wish;
  wish.reason = Reason::kUncalibrated;
  wish.route = evidence.config.near.when_unknown;
  wish.detail = absl::StrCat("P(near right) is unknown; near.when_unknown says ",
                             RouteName(evidence.config.near.when_unknown));
  return wish;
}

Wish JudgeByConfidence(const Evidence& evidence, double threshold) {
  Wish wish;
  wish.score = evidence.p_near;
  wish.threshold = threshold;
  const bool accept = *evidence.p_near >= threshold;
  wish.route = accept ? Route::kNear : Route::kFar;
  wish.reason = accept ? Reason::kDraftAccepted : Reason::kDraftRejected;
  return wish;
}

Wish JudgeByNetValue(const Evidence& evidence) {
  Wish wish;
  if (evidence.best == nullptr) {
    wish.reason = Reason::kDraftAccepted;
    wish.detail = "no far target is configured";
    return wish;
  }
  const NetValue& value = evidence.best->value;
  const bool escalate = value.net_usd > 0;
  wish.route = escalate ? Route::kFar : Route::kNear;
  wish.reason = escalate ? Reason::kDraftRejected : Reason::kDraftAccepted;
  wish.score = value.net_usd;
  wish.threshold = 0;
  return wish;
}

Wish Kind::Judge(const Evidence& evidence) const {
  std::optional<double> threshold = ConfiguredMinConfidence(evidence.config);
  const std::optional<double> asked = evidence.signals.request.min_confidence;
  if (!evidence.p_near) {
    Wish wish = WishWhenUnknown(evidence);
    // Asked for a confidence that cannot be stated: that is not met.
    if (asked || wish.route == Route::kFar) {
      wish.route = Route::kFar;
    } else {
      wish.route = Route::kNear;
    }
    return wish;
  }
  if (asked) threshold = std::max(threshold.value_or(0), *asked);
  if (!threshold) return JudgeByNetValue(evidence);
  const Wish by_confidence = JudgeByConfidence(evidence, *threshold);
  if (ConfiguredMinConfidence(evidence.config) || by_confidence.route == Route::kFar) {
    return by_confidence;
  }
  // The request's bound holds, but it may only tighten: net value still speaks.
  return JudgeByNetValue(evidence);
}

double Kind::LeastAccepted(const Evidence& evidence) const {
  const double asked = evidence.signals.request.min_confidence.value_or(0);
  if (const auto configured = ConfiguredMinConfidence(evidence.config)) {
    return std::max(*configured, asked);
  }
  // Where the net value of a finished draft, v (p_far - p_near) - far_usd, is 0 (value.h).
  const double right_usd = evidence.config.value.right_answer_usd;
  if (evidence.best == nullptr || right_usd <= 0) return asked;
  const NetValue& value = evidence.best->value;
  return std::max(value.p_far - value.far_usd / right_usd, asked);
}

}  // namespace nearfar
