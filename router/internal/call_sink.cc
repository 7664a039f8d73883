// See call_sink.h.

#include "router/internal/call_sink.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace nearfar::internal {
namespace {

constexpr double kPerMillion = 1e-6;

bool IsBill(const std::optional<double>& usd) { return usd && std::isfinite(*usd) && *usd >= 0; }

}  // namespace

void CallSink::Detach() {
  std::shared_ptr<CallListener> gone;  // destroyed after the lock is given back
  absl::MutexLock hold(&mu_);
  gone = std::exchange(listener_, nullptr);
}

double CallSink::CostUsd() const {
  absl::MutexLock hold(&mu_);
  return money_ ? money_->bound_usd() : bill_usd_;
}

std::shared_ptr<CallListener> CallSink::Listener() {
  absl::MutexLock hold(&mu_);
  return closed_ ? nullptr : listener_;
}

// What a finished call owes, told here alone: the larger of the side's own bill and usage times the
// policy's price; without usage also no less than was set aside. A prompt has tokens, so none means
// that no usage was told.
double CallSink::Owed(const BackendFinished& event, double bound_usd) const {
  const Usage& usage = event.usage;
  const double priced =
      kPerMillion * (static_cast<double>(usage.prompt_tokens) * price_.input_usd_per_mtok +
                     static_cast<double>(usage.completion_tokens) * price_.output_usd_per_mtok);
  const double told = IsBill(event.cost_usd) ? *event.cost_usd : 0;
  return std::max({told, priced, usage.prompt_tokens > 0 ? 0 : bound_usd});
}

bool CallSink::Close(Bill bill, std::shared_ptr<CallListener>* listener, double* settled) {
  std::optional<Reservation> money;
  {
    absl::MutexLock hold(&mu_);
    if (std::exchange(closed_, true)) return false;
    *listener = std::exchange(listener_, nullptr);
    if (money_) {
      bill_usd_ = bill(money_->bound_usd());
      money.emplace(*std::move(money_));
      money_.reset();
    }
    *settled = bill_usd_;
  }
  if (money) money->Settle(*settled);
  return true;
}

void CallSink::OnDelta(const BackendDelta& event) {
  if (const std::shared_ptr<CallListener> listener = Listener()) {
    listener->HearDelta(serial_, event);
  }
}

void CallSink::OnFinished(const BackendFinished& event) {
  std::shared_ptr<CallListener> listener;
  double bill = 0;
  const auto owed = [&](double bound_usd) { return Owed(event, bound_usd); };
  if (!Close(owed, &listener, &bill) || !listener) return;
  listener->HearFinished(serial_, event, bill);
}

void CallSink::OnError(const BackendError& event) {
  std::shared_ptr<CallListener> listener;
  double bill = 0;
  // Whether it is charged, and how much, is unknown: the reservation is spent.
  const auto owed = [&](double bound_usd) { return event.maybe_billed ? bound_usd : 0; };
  if (!Close(owed, &listener, &bill) || !listener) return;
  listener->HearError(serial_, event, bill);
}

}  // namespace nearfar::internal
