#include "cloud_client/stub/breaker.h"

#include <algorithm>
#include <utility>

namespace nearfar {

Breaker::Breaker(int failures, absl::Duration pause, absl::Duration pause_cap,
                 std::function<absl::Time()> clock)
    : failures_(failures),
      first_pause_(pause),
      pause_cap_(std::max(pause, pause_cap)),
      clock_(std::move(clock)),
      next_pause_(pause) {}

Breaker::Ticket Breaker::Admit() {
  absl::MutexLock lock(&mutex_);
  if (!open_) return Ticket::kCall;
  if (probing_ || clock_() < open_until_) return Ticket::kRefused;
  probing_ = true;
  return Ticket::kProbe;
}

void Breaker::Report(Ticket ticket, Outcome outcome) {
  absl::MutexLock lock(&mutex_);
  if (ticket == Ticket::kProbe) return ReportProbe(outcome);
  // A call that was admitted before the breaker opened tells of an earlier time.
  if (ticket == Ticket::kRefused || open_) return;
  if (outcome == Outcome::kSuccess) failures_in_a_row_ = 0;
  if (outcome == Outcome::kFailure && ++failures_in_a_row_ >= failures_) Open();
}

void Breaker::ReportProbe(Outcome outcome) {
  probing_ = false;
  if (outcome == Outcome::kFailure) return Open();
  if (outcome == Outcome::kUnknown) return;
  open_ = false;
  failures_in_a_row_ = 0;
  next_pause_ = first_pause_;
}

void Breaker::Open() {
  open_ = true;
  open_until_ = clock_() + next_pause_;
  next_pause_ = std::min(pause_cap_, next_pause_ * 2);
}

Breaker::State Breaker::state() const {
  absl::MutexLock lock(&mutex_);
  if (!open_) return State::kClosed;
  return probing_ || clock_() < open_until_ ? State::kOpen : State::kHalfOpen;
}

absl::Time Breaker::open_until() const {
  absl::MutexLock lock(&mutex_);
  return open_until_;
}

}  // namespace nearfar
