// Budget pacing by dual descent: the price of money rises while it is spent faster than the
// window's budget lasts, and falls back while it is not.
//
//   lambda <- [lambda + eta (c - (B / T) dt)]+     for a bill c, dt seconds after the one before
//
// eta is 1 / (B / 20): a twentieth of the budget spent ahead of time adds 1 to the price. It
// follows spend per second, not per call, so bursts and quiet hours even out (ParetoBandit, arXiv
// 2604.00136; Mirror descent for budgets, Balseiro and Gur 2019). The hard wall is the ledger's,
// not this. One caller at a time. Held by tests/router/internal/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_PACING_H_
#define NEARFAR_ROUTER_INTERNAL_PACING_H_

#include <optional>

#include "absl/time/time.h"
#include "policies/policy_config.h"

namespace nearfar::internal {

class Pacer {
 public:
  // Without a limit, or with Pacing::kNone, the price stays 1.
  // `spent_usd` since `window_start`: what a process before this one spent ahead of time counts.
  void Configure(const PolicyConfig& config, double spent_usd, absl::Time window_start,
                 absl::Time now);
  void OnBill(double bill_usd, absl::Time now);
  // Multiplies prices; in [1, 1 + cap].
  double Price(absl::Time now) const;

 private:
  double Decayed(absl::Time now) const;

  bool on_ = false;
  double limit_usd_ = 0;
  double window_seconds_ = 1;
  double value_usd_ = 0;  // of a right answer
  std::optional<double> cheapest_usd_;
  double lambda_ = 0;
  absl::Time at_;
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_PACING_H_
