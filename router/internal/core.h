// What all requests of a router share: the policy's snapshot, the two sides, money, taint, signals,
// the log and the clock. Thread-safe. Held by tests/router/router_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_CORE_H_
#define NEARFAR_ROUTER_INTERNAL_CORE_H_

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "router/internal/log_writer.h"
#include "router/internal/pacing.h"
#include "router/internal/reservation.h"
#include "router/internal/taint_table.h"
#include "router/internal/timer.h"
#include "router/router.h"

namespace nearfar::internal {

// A policy and the far sides that it names. Immutable; swapped whole, running requests keep theirs.
struct Snapshot {
  std::shared_ptr<const Policy> policy;
  std::map<std::string, std::shared_ptr<Backend>> far;

  std::shared_ptr<Backend> Far(const std::string& name) const {
    auto it = far.find(name);
    return it == far.end() ? nullptr : it->second;
  }
};

// InvalidArgument: no policy, or a far target of it without a backend.
absl::Status CheckSnapshot(const Snapshot& snapshot, bool has_near);

class Core : public std::enable_shared_from_this<Core> {
 public:
  explicit Core(RouterOptions options);
  ~Core();

  const RouterOptions& options() const { return options_; }
  Backend* near() const { return options_.near.get(); }
  Timer& timer() { return *options_.timer; }
  TaintTable& taint() { return taint_; }
  absl::Time Now() const { return options_.clock(); }
  std::string NewId();

  std::shared_ptr<const Snapshot> snapshot() const;
  absl::Status Swap(std::shared_ptr<const Snapshot> next);

  // All that Choose looks at; draws the decision's random number.
  Signals BuildSignals(const Query& query, const Snapshot& snapshot);
  // Budget, far health and speed, anew: they change while a draft runs.
  void Refresh(const Snapshot& snapshot, Signals* signals) const;

  // Sets money aside for a far call. Errors: ResourceExhausted, Unavailable (see ledger.h), and
  // FailedPrecondition where there is a limit and no ledger to keep it.
  absl::StatusOr<Reservation> Reserve(const Snapshot& snapshot, double bound_usd,
                                      const std::string& target);

  void Log(DecisionRecord record, const PolicyConfig& config);

  // A request enters, ends (its place is free, as its app may know at once) and leaves (its app has
  // heard of the end). False: max_active have not ended, or the router is going down.
  bool Enter(const std::shared_ptr<RouterCall>& request);
  void Ended();
  void Leave(const std::shared_ptr<RouterCall>& request);
  int active() const;
  // No request enters any more; cancels what runs, waits for its end, writes the log's queue.
  void ShutDown();

  BudgetSignals Budget(const PolicyConfig& config) const;
  // Decision records that could not be written.
  int64_t lost_records() const;

 private:
  DeviceSignals ReadDevice();
  double Uniform();
  void OnBill(double bill_usd);
  void ConfigurePacing(const PolicyConfig& config);

  RouterOptions options_;
  TaintTable taint_;
  std::unique_ptr<LogWriter> log_writer_;

  mutable absl::Mutex mu_;
  std::shared_ptr<const Snapshot> snapshot_ ABSL_GUARDED_BY(mu_);
  Pacer pacer_ ABSL_GUARDED_BY(mu_);
  std::mt19937_64 random_ ABSL_GUARDED_BY(mu_);
  std::set<std::shared_ptr<RouterCall>> requests_ ABSL_GUARDED_BY(mu_);
  int active_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;

  absl::Mutex device_mu_;
  DeviceSignals device_ ABSL_GUARDED_BY(device_mu_);
  absl::Time device_read_ ABSL_GUARDED_BY(device_mu_) = absl::InfinitePast();
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_CORE_H_
