// The money: a hard limit a window, kept in SQLite so that it holds across kill -9.
//
// Money is reserved before a far call and settled with the real bill after it. Reservations draw on
// a durable lease (one fsync a lease, not a call): a lease that was open when the process died
// counts as spent. One process owns a ledger (file lock). WAL, synchronous=FULL. Thread-safe. Held
// by tests/router/ledger_test.cc and tests/router/ledger_crash_test.cc.

#ifndef NEARFAR_ROUTER_LEDGER_H_
#define NEARFAR_ROUTER_LEDGER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace nearfar {

struct LedgerOptions {
  std::string path;                 // a file; ":memory:" for tests
  std::optional<double> limit_usd;  // a window; absent = everything is recorded, nothing refused
  absl::Duration window = absl::Hours(24);
  double lease_usd = 0;  // 0 = limit / 20
  std::function<absl::Time()> clock = [] { return absl::Now(); };
};

// What a ledger's file says.
struct LedgerLook {
  double spent_usd = 0;  // of the window of now; what an owner has set aside counts as spent
  absl::Time window_end;
  bool unknown = false;  // nobody knows what was spent: until window_end no limit holds any call
};

// Money is kept in whole nano-dollars; a bound is rounded up, so the limit is never passed.
class Ledger {
 public:
  // Errors: Unavailable (another process owns the file), DataLoss (the file is damaged), Internal.
  // A damaged file is moved aside, and the message says where. What was spent is then lost, so the
  // books that stand in its place have more spent than any limit holds: the next Open succeeds, and
  // calls that cost are refused, also without a limit, until a window has passed. Nobody but a
  // person may forgive it, by removing those books.
  static absl::StatusOr<std::unique_ptr<Ledger>> Open(const LedgerOptions& options);
  // Reads without owning: no lock, no new window, nothing written; also while a process owns it.
  // Errors: NotFound (nothing was ever spent), DataLoss, Unavailable, Internal.
  static absl::StatusOr<LedgerLook> Look(const std::string& path, absl::Time now);
  virtual ~Ledger() =
      default;  // settles nothing: what is reserved stays spent; an idle lease returns

  // Sets money aside for one call; the id names it in Settle. Errors: ResourceExhausted (the
  // window's limit does not hold it), Unavailable (the file cannot be written: far calls must fail
  // closed).
  virtual absl::StatusOr<int64_t> Reserve(double bound_usd, const std::string& target) = 0;
  // Replaces a reservation by the real bill. A bill above its reservation is recorded in full, and
  // counts. Errors: NotFound (settled before), Unavailable.
  virtual absl::Status Settle(int64_t reservation, double bill_usd) = 0;

  // Settled and reserved money of the current window, as Reserve would see it.
  virtual double SpentUsd() const = 0;
  virtual std::optional<double> limit_usd() const = 0;
  virtual absl::Time window_start() const = 0;
  // A new limit, from a reloaded policy. Never forgives what was spent.
  virtual absl::Status SetLimit(std::optional<double> limit_usd, absl::Duration window,
                                double lease_usd) = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_LEDGER_H_
