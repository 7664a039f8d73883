// Money set aside for one far call, settled exactly once: with the real bill, or, when nobody can
// tell it, at its bound. Held by tests/router/router_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_RESERVATION_H_
#define NEARFAR_ROUTER_INTERNAL_RESERVATION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "router/ledger.h"

namespace nearfar::internal {

// One caller at a time. Moving leaves nothing to settle.
class Reservation {
 public:
  // `ledger` may be nullptr: then only `on_bill` hears of it.
  Reservation(std::shared_ptr<Ledger> ledger, int64_t id, double bound_usd,
              std::function<void(double bill_usd)> on_bill)
      : ledger_(std::move(ledger)),
        id_(id),
        bound_usd_(bound_usd),
        on_bill_(std::move(on_bill)),
        open_(true) {}
  Reservation(Reservation&& other) noexcept
      : ledger_(std::move(other.ledger_)),
        id_(other.id_),
        bound_usd_(other.bound_usd_),
        on_bill_(std::move(other.on_bill_)),
        open_(std::exchange(other.open_, false)) {}
  Reservation& operator=(Reservation&&) = delete;
  ~Reservation() { Settle(bound_usd_); }

  double bound_usd() const { return bound_usd_; }

  void Settle(double bill_usd) {
    if (!std::exchange(open_, false)) return;
    // A ledger that cannot write keeps the money in its books all the same (ledger.h).
    if (ledger_) (void)ledger_->Settle(id_, bill_usd);
    if (on_bill_) on_bill_(bill_usd);
  }

 private:
  std::shared_ptr<Ledger> ledger_;
  int64_t id_;
  double bound_usd_;
  std::function<void(double)> on_bill_;
  bool open_;
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_RESERVATION_H_
