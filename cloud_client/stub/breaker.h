// The circuit breaker's control, apart from the calls that it guards.
//
//   closed     every call passes; `failures` failures in a row open it
//   open       every call is refused, until the pause is over
//   half-open  the next call passes as the probe; its success closes the breaker, its failure
//              opens it again with twice the pause, up to the cap; meanwhile the others are refused
//
// A call that says nothing about the server (cancelled by us, or without a fair time to answer)
// gives its probe back. The clock is a steady one.
// Thread-safe. Held by tests/cloud_client/stub/breaker_stub_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_STUB_BREAKER_H_
#define NEARFAR_CLOUD_CLIENT_STUB_BREAKER_H_

#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace nearfar {

class Breaker {
 public:
  enum class State { kClosed, kOpen, kHalfOpen };
  enum class Ticket { kRefused, kCall, kProbe };
  enum class Outcome { kSuccess, kFailure, kUnknown };

  // failures >= 1; 0 < pause <= pause_cap.
  Breaker(int failures, absl::Duration pause, absl::Duration pause_cap,
          std::function<absl::Time()> clock);

  Ticket Admit();
  // Exactly once for each admitted ticket.
  void Report(Ticket ticket, Outcome outcome);
  // As the next call would find it: kHalfOpen where it would be the probe, kOpen where it would be
  // refused, also while a probe is under way.
  State state() const;
  // When a probe is admitted again; only meaningful while kOpen and no probe is under way.
  absl::Time open_until() const;

 private:
  void Open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReportProbe(Outcome outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int failures_;
  const absl::Duration first_pause_;
  const absl::Duration pause_cap_;
  const std::function<absl::Time()> clock_;

  mutable absl::Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  bool probing_ ABSL_GUARDED_BY(mutex_) = false;
  int failures_in_a_row_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration next_pause_ ABSL_GUARDED_BY(mutex_);
  absl::Time open_until_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_STUB_BREAKER_H_
