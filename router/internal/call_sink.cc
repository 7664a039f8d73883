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

// The larger of the side's own bill and usage times price; empty = unknown. A bill of nothing for a
// usage of nothing proves nothing.
std::optional<double> CallSink::BillOf(const BackendFinished& event) const {
  const double told = IsBill(event.cost_usd) ? *event.cost_usd : 0;
  const Usage& usage = event.usage;
  if (usage.prompt_tokens <= 0 && usage.completion_tokens <= 0) {
    return told > 0 ? std::optional<double>(told) : std::nullopt;
  }
  const double priced =
      kPerMillion * (static_cast<double>(usage.prompt_tokens) * price_.input_usd_per_mtok +
                     static_cast<double>(usage.completion_tokens) * price_.output_usd_per_mtok);
  return std::max(told, priced);
}

bool CallSink::Close(std::optional<double> bill, std::shared_ptr<CallListener>* listener,
                     double* settled) {
  std::optional<Reservation> money;
  {
    absl::MutexLock hold(&mu_);
    if (std::exchange(closed_, true)) return false;
    *listener = std::exchange(listener_, nullptr);
    if (money_) {
      bill_usd_ = bill.value_or(money_->bound_usd());
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
  if (!Close(BillOf(event), &listener, &bill) || !listener) return;
  listener->HearFinished(serial_, event, bill);
}

void CallSink::OnError(const BackendError& event) {
  std::shared_ptr<CallListener> listener;
  double bill = 0;
  std::optional<double> charged;  // unknown: the reservation is spent
  if (!event.maybe_billed) charged = 0;
  if (!Close(charged, &listener, &bill) || !listener) return;
  listener->HearError(serial_, event, bill);
}

}  // namespace nearfar::internal
