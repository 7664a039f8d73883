// See pacing.h.

#include "router/internal/pacing.h"

#include <algorithm>

namespace nearfar::internal {
namespace {

constexpr double kStepsPerBudget = 20;
constexpr double kHighestPrice = 1000;  // where no bill has told the cheapest call yet

}  // namespace

void Pacer::Configure(const PolicyConfig& config, double spent_usd, absl::Time window_start,
                      absl::Time now) {
  const bool was_on = on_;
  on_ = config.budget.pacing == Pacing::kDual && config.budget.limit_usd.value_or(0) > 0;
  if (!on_) return;
  limit_usd_ = *config.budget.limit_usd;
  window_seconds_ = std::max(absl::ToDoubleSeconds(config.budget.window), 1.0);
  value_usd_ = config.value.right_answer_usd;
  if (was_on) return;
  const double elapsed = std::max(absl::ToDoubleSeconds(now - window_start), 0.0);
  // More than the limit is spent where nobody knows what was; a window then gives it all back.
  const double ahead = std::min(spent_usd, limit_usd_) - limit_usd_ * elapsed / window_seconds_;
  lambda_ = std::max(ahead * kStepsPerBudget / limit_usd_, 0.0);
  at_ = now;
}

// What the steady B / T has given back since the last bill.
double Pacer::Decayed(absl::Time now) const {
  const double seconds = std::max(absl::ToDoubleSeconds(now - at_), 0.0);
  return std::max(lambda_ - kStepsPerBudget * seconds / window_seconds_, 0.0);
}

void Pacer::OnBill(double bill_usd, absl::Time now) {
  if (!on_ || bill_usd <= 0) return;
  cheapest_usd_ = std::min(cheapest_usd_.value_or(bill_usd), bill_usd);
  lambda_ = Decayed(now) + bill_usd * kStepsPerBudget / limit_usd_;
  // At v / c_min even the cheapest call is worth no more than it costs: higher changes nothing.
  lambda_ = std::min(lambda_, std::min(value_usd_ / *cheapest_usd_, kHighestPrice));
  at_ = std::max(at_, now);
}

double Pacer::Price(absl::Time now) const { return on_ ? 1 + Decayed(now) : 1; }

}  // namespace nearfar::internal
