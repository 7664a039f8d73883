// Stands between a backend and a request: numbers the call's events, lets one terminal event
// through, and settles the call's money whether or not the request still listens. Thread-safe. Held
// by tests/router/internal/call_sink_test.cc and tests/router/router_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_CALL_SINK_H_
#define NEARFAR_ROUTER_INTERNAL_CALL_SINK_H_

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "router/backend.h"
#include "router/internal/reservation.h"

namespace nearfar::internal {

// Who hears a call; `serial` tells which one. Thread-safe, and never blocks.
class CallListener {
 public:
  virtual ~CallListener() = default;
  virtual void HearDelta(int serial, const BackendDelta& delta) = 0;
  virtual void HearFinished(int serial, const BackendFinished& end, double bill_usd) = 0;
  virtual void HearError(int serial, const BackendError& error, double bill_usd) = 0;
};

struct CallPrice {
  double input_usd_per_mtok = 0;
  double output_usd_per_mtok = 0;
};

class CallSink : public BackendSink {
 public:
  CallSink(std::shared_ptr<CallListener> listener, int serial)
      : serial_(serial), listener_(std::move(listener)) {}
  CallSink(std::shared_ptr<CallListener> listener, int serial, Reservation money, CallPrice price)
      : serial_(serial), price_(price), listener_(std::move(listener)), money_(std::move(money)) {}

  // The listener hears nothing more; a backend that never ends keeps only this small object.
  void Detach();
  // What the call has cost, as known now: the bill once it is settled, its bound before.
  double CostUsd() const;

  void OnDelta(const BackendDelta& event) override;
  void OnFinished(const BackendFinished& event) override;
  void OnError(const BackendError& event) override;

 private:
  // What a call that had this much set aside owes.
  using Bill = absl::FunctionRef<double(double bound_usd)>;

  // The listener, unless a terminal event came before or it was detached.
  std::shared_ptr<CallListener> Listener();
  // Makes this the terminal event, and settles by `bill`; false where one came before.
  bool Close(Bill bill, std::shared_ptr<CallListener>* listener, double* settled);
  double Owed(const BackendFinished& event, double bound_usd) const;

  const int serial_;
  const CallPrice price_;
  mutable absl::Mutex mu_;
  std::shared_ptr<CallListener> listener_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<Reservation> money_ ABSL_GUARDED_BY(mu_);  // empty = settled, or free
  double bill_usd_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_CALL_SINK_H_
