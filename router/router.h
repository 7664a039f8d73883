// The router: takes a query, decides near or far, acts, and reports one stream of events.
//
//   auto router = Router::Create({.policy = policy, .near = near, .far = {{"home", far}}});
//   auto call = (*router)->Start(query, sink);
//
// docs/life_of_a_query.md tells what happens in between. Thread-safety: all methods are
// thread-safe. Held by tests/router/router_test.cc.

#ifndef NEARFAR_ROUTER_ROUTER_H_
#define NEARFAR_ROUTER_ROUTER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "policies/policy.h"
#include "router/backend.h"
#include "router/decision_log.h"
#include "router/ledger.h"
#include "router/query.h"
#include "router/signals/signal_source.h"

namespace nearfar {

namespace internal {
class Timer;
}

struct RouterOptions {
  std::shared_ptr<const Policy> policy;
  std::shared_ptr<Backend> near;                        // nullptr = none (a gateway)
  std::map<std::string, std::shared_ptr<Backend>> far;  // by FarConfig::name
  std::shared_ptr<Ledger> ledger;    // nullptr = no money is kept; far calls that
                                     // cost are then refused if a limit is set
  std::shared_ptr<DecisionLog> log;  // nullptr = none
  // File that keeps which sessions are tainted, and the device's salt; made 0600 where it is
  // missing. One router at a time owns it: while another one does, all sessions of this one stay on
  // the device. Empty = memory only: a restart forgets both.
  std::string taint_path;
  // For a router that only explains, also beside the owner: the file is read once and neither made
  // nor written. What this router taints is not kept, and it clears nothing.
  bool taint_read_only = false;
  // Sources of device signals; empty = AllSignalSources().
  std::vector<std::shared_ptr<SignalSource>> signal_sources;
  std::function<absl::Time()> clock = [] { return absl::Now(); };
  std::function<double()> uniform;  // [0, 1); empty = a seeded generator
  int default_max_tokens = 256;
  absl::Duration default_timeout = absl::Minutes(2);  // of a query without a deadline
  int max_active = 64;                                // queries at once; more are refused
  // Runs deadlines; nullptr = a thread of its own. For tests: no time passes but by their word.
  std::shared_ptr<internal::Timer> timer;
};

// A running query. Thread-safe.
class RouterCall {
 public:
  virtual ~RouterCall() = default;  // does not cancel
  // Frees the engine's slot and KV cache and the far call; Failed(Cancelled) follows unless a
  // terminal event was under way. Idempotent.
  virtual void Cancel() = 0;
};

struct RouterStatus {
  std::string policy_name;
  std::string policy_revision;
  absl::Status calibration;  // CheckCalibration of the loaded model
  std::map<std::string, Health> far;
  BudgetSignals budget;
  int active = 0;
  int64_t lost_records = 0;  // decision records that could not be written
  // Why no session at all may leave (the taint file cannot be read or written, is another's, or is
  // full); else OK.
  absl::Status taint;
};

class Router {
 public:
  // Errors: InvalidArgument (no policy, a far target of the policy without a backend, ...).
  static absl::StatusOr<std::unique_ptr<Router>> Create(RouterOptions options);
  virtual ~Router() = default;  // cancels what runs and waits for its terminal events

  // Always ends in exactly one OnFinished or OnFailed, possibly from within Start.
  virtual std::shared_ptr<RouterCall> Start(Query query, std::shared_ptr<EventSink> sink) = 0;

  // The decision that Start would take now, with its counterfactual. Runs no model, spends nothing,
  // leaves no record.
  virtual absl::StatusOr<Decision> Explain(const Query& query) = 0;

  // Swaps the policy for queries that start from now on; running ones keep theirs. The far backends
  // are those that the new policy names. Errors as in Create: the old policy stays.
  virtual absl::Status Reload(std::shared_ptr<const Policy> policy,
                              std::map<std::string, std::shared_ptr<Backend>> far) = 0;

  virtual RouterStatus status() const = 0;

  // Ends the taint of a session (the user's own act). What tainted it taints again when it is sent
  // again: the application forgets those turns first. Errors: InvalidArgument (no key, or too long
  // a one), FailedPrecondition (too many sessions are tainted to tell this one, or the router only
  // explains), Unavailable (RouterStatus::taint says why): the session then stays tainted.
  virtual absl::Status ClearTaint(const std::string& session_key) = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_ROUTER_H_
