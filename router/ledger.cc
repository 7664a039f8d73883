// The ledger's books, and why they hold across kill -9.
//
// On disk a window has `spent` (accounted for, never falls) and at most one lease (money set
// aside). In memory the process knows how much of the lease is settled and reserved:
//
//     on disk:    spent                 + lease
//     in memory:  spent + settled + reserved + idle          (settled + reserved + idle = lease)
//
// Money is promised to a call only out of a lease that is already on disk, so whatever a dying
// process had promised is at most spent + lease, which is what the next process counts as spent.
// A new lease folds `settled` into `spent` in the same transaction: one fsync a lease, none a call.
//
// Windows only ever move forward: a window's end is stored, and a clock that steps back stays in
// it. Money still reserved at a window's end counts in the next one too, as its bill may fall
// there.

#include "router/ledger.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "router/internal/file_lock.h"
#include "router/internal/sqlite.h"

namespace nearfar {
namespace {

using internal::FileLock;
using internal::SqliteDb;
using internal::SqliteStatement;

constexpr int64_t kSchemaVersion = 1;
constexpr int64_t kNanosPerUsd = 1'000'000'000;
constexpr int64_t kMaxNanos = int64_t{1} << 61;         // sums of three still fit
constexpr int64_t kUnlimitedLease = kNanosPerUsd / 20;  // 0.05 USD, where no limit tells
constexpr absl::Duration kShortestWindow = absl::Seconds(1);
constexpr int kKeptWindows = 400;  // whose totals stay readable

constexpr char kSchema[] = R"(
CREATE TABLE IF NOT EXISTS window(
  start_ns INTEGER PRIMARY KEY, end_ns INTEGER NOT NULL, spent_nanos INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS lease(
  id INTEGER PRIMARY KEY CHECK (id = 1), window_start_ns INTEGER NOT NULL,
  nanos INTEGER NOT NULL, opened_ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS bill(
  window_start_ns INTEGER NOT NULL, target TEXT NOT NULL, calls INTEGER NOT NULL,
  nanos INTEGER NOT NULL, PRIMARY KEY (window_start_ns, target)) STRICT;
PRAGMA user_version = 1;
)";

// Doubles carry noise far below a nano-dollar; it must not push an exact amount up by one.
constexpr double kNoise = 1e-6;

int64_t Clamp(double nanos) {
  return nanos >= static_cast<double>(kMaxNanos) ? kMaxNanos : static_cast<int64_t>(nanos);
}
int64_t RoundUp(double usd) { return Clamp(std::ceil(usd * kNanosPerUsd - kNoise)); }
int64_t RoundNearest(double usd) { return Clamp(std::round(usd * kNanosPerUsd)); }
int64_t Sum(int64_t a, int64_t b) { return std::min(kMaxNanos, a + b); }
double ToUsd(int64_t nanos) { return static_cast<double>(nanos) / kNanosPerUsd; }

int64_t Nanos(absl::Time time) { return absl::ToUnixNanos(time); }

bool IsAmount(double usd) { return std::isfinite(usd) && usd >= 0; }

struct Limits {
  std::optional<int64_t> limit;
  int64_t lease = kUnlimitedLease;
  absl::Duration window = absl::Hours(24);
};

absl::StatusOr<Limits> CheckLimits(std::optional<double> limit_usd, absl::Duration window,
                                   double lease_usd) {
  if (limit_usd && !IsAmount(*limit_usd)) {
    return absl::InvalidArgumentError("budget.limit_usd: must be a number >= 0");
  }
  if (!IsAmount(lease_usd)) {
    return absl::InvalidArgumentError("budget.lease_usd: must be a number >= 0");
  }
  if (window < kShortestWindow || window == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError("budget.window: must be at least 1s, and finite");
  }
  Limits limits;
  limits.window = window;
  if (limit_usd) limits.limit = RoundNearest(*limit_usd);
  if (lease_usd > 0) {
    limits.lease = std::max<int64_t>(1, RoundNearest(lease_usd));
  } else if (limits.limit) {
    limits.lease = std::max<int64_t>(1, *limits.limit / 20);
  }
  return limits;
}

// What is on disk; the past stands for "nothing yet".
struct Books {
  absl::Time start = absl::InfinitePast();
  absl::Time end = absl::InfinitePast();
  int64_t spent = 0;
  int64_t lease = 0;
};

absl::StatusOr<Books> ReadBooks(SqliteDb* db) {
  Books books;
  absl::StatusOr<SqliteStatement> last = db->Prepare(
      "SELECT start_ns, end_ns, spent_nanos FROM window ORDER BY start_ns DESC LIMIT 1");
  if (!last.ok()) return last.status();
  absl::StatusOr<bool> row = last->Step();
  if (!row.ok()) return row.status();
  if (!*row) return books;
  books.start = absl::FromUnixNanos(last->Int(0));
  books.end = absl::FromUnixNanos(last->Int(1));
  books.spent = last->Int(2);
  absl::StatusOr<SqliteStatement> lease = db->Prepare("SELECT nanos FROM lease");
  if (!lease.ok()) return lease.status();
  row = lease->Step();
  if (!row.ok()) return row.status();
  if (*row) books.lease = lease->Int(0);
  if (books.spent < 0 || books.spent > kMaxNanos || books.lease < 0 || books.lease > kMaxNanos ||
      books.end <= books.start) {
    return absl::DataLossError(absl::StrCat(db->path(), ": the books hold impossible numbers"));
  }
  return books;
}

class SqliteLedger : public Ledger {
 public:
  SqliteLedger(LedgerOptions options, Limits limits, SqliteDb db)
      : options_(std::move(options)), limits_(limits), db_(std::move(db)) {}

  ~SqliteLedger() override {
    absl::MutexLock hold(&mu_);
    if (!loaded_) return;
    // The idle part of the lease returns; what is reserved has an unknown bill and stays spent.
    (void)WriteBooks(window_start_, window_end_, Used(), 0);
  }

  // Keeps the lock for as long as the ledger lives.
  void Own(FileLock lock) { lock_ = std::move(lock); }

  // Reads the books, or starts them. Whatever lease is found was a dead process's: it is spent.
  absl::Status Load() {
    absl::MutexLock hold(&mu_);
    absl::StatusOr<Books> books = ReadBooks(&db_);
    if (!books.ok()) return books.status();
    if (books->end == absl::InfinitePast()) return BeginWindow(0);
    Rebase(books->start, books->end, Sum(books->spent, books->lease), 0);
    // First, or a longer window would bring back one that is over.
    absl::Status turned = TurnWindow();
    if (!turned.ok()) return turned;
    // A shorter window from a changed policy does not end the running one early.
    window_end_ = std::max(window_end_, window_start_ + limits_.window);
    absl::Status written = WriteBooks(window_start_, window_end_, spent_, 0);
    loaded_ = written.ok();
    return written;
  }

  // Begins books in the place of lost ones: all that may have been spent is, whatever the limit of
  // those who read them.
  absl::Status BeginSpent() {
    absl::MutexLock hold(&mu_);
    return BeginWindow(kMaxNanos);
  }

  absl::StatusOr<int64_t> Reserve(double bound_usd, const std::string& target) override {
    if (!IsAmount(bound_usd)) {
      return absl::InvalidArgumentError("the bound of a far call must be a number >= 0");
    }
    const int64_t bound = RoundUp(bound_usd);
    absl::MutexLock hold(&mu_);
    absl::Status turned = TurnWindow();
    if (!turned.ok()) return turned;
    absl::Status fits = CheckFits(bound);
    if (!fits.ok()) return fits;
    if (bound > Idle()) {
      absl::Status leased = ExtendLease(bound);
      if (!leased.ok()) return leased;
    }
    reserved_ += bound;
    int64_t id = next_id_++;
    open_[id] = {bound, target};
    return id;
  }

  absl::Status Settle(int64_t reservation, double bill_usd) override {
    absl::MutexLock hold(&mu_);
    auto it = open_.find(reservation);
    if (it == open_.end()) {
      return absl::NotFoundError(
          absl::StrCat("reservation ", reservation, " is not open (settled before?)"));
    }
    auto [bound, target] = std::move(it->second);
    open_.erase(it);
    // A bill that is no amount proves nothing: the bound stands.
    const int64_t bill = IsAmount(bill_usd) ? RoundUp(bill_usd) : bound;
    reserved_ -= bound;
    settled_ = Sum(settled_, bill);
    Totals& totals = unwritten_[target];
    totals.calls += 1;
    totals.nanos = Sum(totals.nanos, bill);
    if (Idle() >= 0) return absl::OkStatus();
    // The bill passed its bound: what is on disk no longer covers it.
    return ExtendLease(0);
  }

  double SpentUsd() const override {
    absl::MutexLock hold(&mu_);
    bool over = options_.clock() >= window_end_;
    return ToUsd(over ? reserved_ : Used());
  }

  std::optional<double> limit_usd() const override {
    absl::MutexLock hold(&mu_);
    if (!limits_.limit) return std::nullopt;
    return ToUsd(*limits_.limit);
  }

  absl::Time window_start() const override {
    absl::MutexLock hold(&mu_);
    absl::Time now = options_.clock();
    return now >= window_end_ ? NextStart(now) : window_start_;
  }

  absl::Status SetLimit(std::optional<double> limit_usd, absl::Duration window,
                        double lease_usd) override {
    absl::StatusOr<Limits> limits = CheckLimits(limit_usd, window, lease_usd);
    if (!limits.ok()) return limits.status();
    absl::MutexLock hold(&mu_);
    absl::Status turned = TurnWindow();
    if (!turned.ok()) return turned;
    absl::Time end = std::max(window_end_, window_start_ + limits->window);
    if (end != window_end_) {
      absl::Status written = Rewrite(window_start_, end, Sum(spent_, settled_), reserved_);
      if (!written.ok()) return written;
    }
    limits_ = *limits;
    return absl::OkStatus();
  }

 private:
  struct Reservation {
    int64_t bound;
    std::string target;
  };
  struct Totals {
    int64_t calls = 0;
    int64_t nanos = 0;
  };

  int64_t Used() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return Sum(Sum(spent_, settled_), reserved_);
  }

  // What of the lease is promised to nobody.
  int64_t Idle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return lease_ - settled_ - reserved_; }

  absl::Status CheckFits(int64_t bound) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const int64_t limit = limits_.limit.value_or(kMaxNanos);
    const int64_t used = Used();
    if (bound == 0 || (bound <= limit && used <= limit - bound)) return absl::OkStatus();
    if (used == kMaxNanos) {
      return absl::ResourceExhaustedError(absl::StrFormat(
          "budget: what was spent is not known (the ledger was damaged, or a bill had no measure), "
          "so nothing that costs is called until %s",
          absl::FormatTime(window_end_)));
    }
    return absl::ResourceExhaustedError(absl::StrFormat(
        "budget: a call of up to %.6f USD does not fit: %.6f of %.6f USD are spent or reserved "
        "until %s (raise budget.limit_usd, or wait)",
        ToUsd(bound), ToUsd(used), ToUsd(limit), absl::FormatTime(window_end_)));
  }

  // Sets more aside, durably, so that `bound` fits into the lease; more than that while the limit
  // holds it, so that the next calls need no disk.
  absl::Status ExtendLease(int64_t bound) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const int64_t spent = Sum(spent_, settled_);
    int64_t grant = std::max(bound, limits_.lease);
    if (limits_.limit) {
      grant = std::max(bound, std::min(grant, *limits_.limit - spent - reserved_));
    }
    return Rewrite(window_start_, window_end_, spent, Sum(reserved_, grant));
  }

  absl::Status BeginWindow(int64_t spent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const absl::Time now = options_.clock();
    absl::Status written = Rewrite(now, now + limits_.window, spent, 0);
    loaded_ = written.ok();
    return written;
  }

  absl::Status TurnWindow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    absl::Time now = options_.clock();
    if (now < window_end_) return absl::OkStatus();
    // The old window's books are closed first, so that they tell what was spent in it.
    absl::Status closed = Rewrite(window_start_, window_end_, Sum(spent_, settled_), reserved_);
    if (!closed.ok()) return closed;
    absl::Time start = NextStart(now);
    absl::Status written = Rewrite(start, start + limits_.window, 0, reserved_);
    if (!written.ok()) return written;
    ForgetBefore(start - kKeptWindows * limits_.window);
    return absl::OkStatus();
  }

  // Housekeeping: a failure costs only space, and the next window tries again.
  void ForgetBefore(absl::Time oldest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    for (const char* sql :
         {"DELETE FROM window WHERE start_ns < ?", "DELETE FROM bill WHERE window_start_ns < ?"}) {
      absl::StatusOr<SqliteStatement> forget = db_.Prepare(sql);
      if (forget.ok()) (void)forget->Bind(1, Nanos(oldest)).Run();
    }
  }

  // Windows follow each other without a gap, whole lengths apart.
  absl::Time NextStart(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    absl::Duration rest;
    absl::IDivDuration(now - window_end_, limits_.window, &rest);
    return now - rest;
  }

  void Rebase(absl::Time start, absl::Time end, int64_t spent, int64_t lease)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    window_start_ = start;
    window_end_ = end;
    spent_ = spent;
    lease_ = lease;
    settled_ = 0;
  }

  // Changes the books on disk and then in memory.
  absl::Status Rewrite(absl::Time start, absl::Time end, int64_t spent, int64_t lease)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    absl::Status written = WriteBooks(start, end, spent, lease);
    if (written.ok()) Rebase(start, end, spent, lease);
    return written;
  }

  // The one transaction: a window's spent money, the lease, and the bills since the last one.
  absl::Status WriteBooks(absl::Time start, absl::Time end, int64_t spent, int64_t lease)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    absl::Status begun = db_.Exec("BEGIN IMMEDIATE");
    if (!begun.ok()) return begun;
    absl::Status written = WriteRows(start, end, spent, lease);
    if (written.ok()) written = db_.Exec("COMMIT");
    if (!written.ok()) {
      (void)db_.Exec("ROLLBACK");  // fails where SQLite rolled back by itself
      return written;
    }
    unwritten_.clear();
    return absl::OkStatus();
  }

  absl::Status WriteRows(absl::Time start, absl::Time end, int64_t spent, int64_t lease)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    absl::StatusOr<SqliteStatement> window =
        db_.Prepare("INSERT OR REPLACE INTO window VALUES (?, ?, ?)");
    if (!window.ok()) return window.status();
    window->Bind(1, Nanos(start)).Bind(2, Nanos(end)).Bind(3, spent);
    absl::Status done = window->Run();
    if (!done.ok()) return done;
    absl::StatusOr<SqliteStatement> open =
        db_.Prepare("INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?)");
    if (!open.ok()) return open.status();
    open->Bind(1, Nanos(start)).Bind(2, lease).Bind(3, Nanos(options_.clock()));
    done = open->Run();
    if (!done.ok()) return done;
    return WriteBills();
  }

  absl::Status WriteBills() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    for (const auto& [target, totals] : unwritten_) {
      absl::StatusOr<SqliteStatement> bill = db_.Prepare(
          "INSERT INTO bill VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET "
          "calls = calls + ?3, nanos = min(nanos + ?4, ?5)");
      if (!bill.ok()) return bill.status();
      bill->Bind(1, Nanos(window_start_)).Bind(2, target).Bind(3, totals.calls);
      bill->Bind(4, totals.nanos).Bind(5, kMaxNanos);
      absl::Status done = bill->Run();
      if (!done.ok()) return done;
    }
    return absl::OkStatus();
  }

  const LedgerOptions options_;
  FileLock lock_;  // before db_: released after it
  mutable absl::Mutex mu_;
  bool loaded_ ABSL_GUARDED_BY(mu_) = false;  // books that were not read are not written either
  Limits limits_ ABSL_GUARDED_BY(mu_);
  SqliteDb db_ ABSL_GUARDED_BY(mu_);
  absl::Time window_start_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  absl::Time window_end_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  int64_t spent_ ABSL_GUARDED_BY(mu_) = 0;  // nano-dollars, as on disk
  int64_t lease_ ABSL_GUARDED_BY(mu_) = 0;  // as on disk
  int64_t settled_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t reserved_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t next_id_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<int64_t, Reservation> open_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Totals> unwritten_ ABSL_GUARDED_BY(mu_);
};

// DataLoss where the file is damaged.
absl::Status CheckBooks(SqliteDb* db) {
  absl::Status sound = db->CheckIntegrity();
  if (!sound.ok()) return sound;
  absl::StatusOr<int64_t> version = db->UserVersion();
  if (!version.ok()) return version.status();
  if (*version <= kSchemaVersion) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(db->path(), ": ledger schema ", *version,
                                          " is newer than this program (use a newer nearfar)"));
}

// Opens the database and brings it to the schema.
absl::StatusOr<SqliteDb> OpenBooks(const std::string& path) {
  absl::StatusOr<SqliteDb> db = SqliteDb::Open(path);
  if (!db.ok()) return db;
  absl::Status sound = CheckBooks(&*db);
  if (!sound.ok()) return sound;
  absl::Status ready = db->Exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
  if (ready.ok()) ready = db->Exec(kSchema);
  if (!ready.ok()) return ready;
  return db;
}

// Books for the place of damaged ones. They are whole before the damaged file goes, and take its
// place by one rename, so that no crash in between leaves a device that forgot what it spent.
std::string FreshPath(const std::string& path) { return path + ".fresh"; }

absl::Status WriteFresh(LedgerOptions options, const Limits& limits) {
  options.path = FreshPath(options.path);
  for (const char* side : {"", "-wal", "-shm"}) std::remove((options.path + side).c_str());
  absl::StatusOr<SqliteDb> db = OpenBooks(options.path);
  if (!db.ok()) return db.status();
  const std::string wal = options.path + "-wal";
  absl::Status begun = SqliteLedger(std::move(options), limits, *std::move(db)).BeginSpent();
  // Closing folds it in; what is still in it would stay behind at the rename.
  if (begun.ok() && access(wal.c_str(), F_OK) == 0) {
    return absl::UnavailableError(absl::StrCat(wal, ": cannot be folded into its file"));
  }
  return begun;
}

absl::Status PlaceFresh(const std::string& path) {
  // Side files that are still there belong to the damaged file, and would be replayed into this
  // one.
  for (const char* side : {"-wal", "-shm"}) std::remove((path + side).c_str());
  if (std::rename(FreshPath(path).c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(path, ": cannot be put in its place: ", std::strerror(errno)));
}

// Finishes what a crash cut off between the two renames.
absl::Status FinishQuarantine(const std::string& path) {
  const bool unplaced =
      access(path.c_str(), F_OK) != 0 && access(FreshPath(path).c_str(), F_OK) == 0;
  return unplaced ? PlaceFresh(path) : absl::OkStatus();
}

absl::Status Quarantine(const LedgerOptions& options, const Limits& limits,
                        const absl::Status& damage) {
  absl::Status fresh = WriteFresh(options, limits);
  if (!fresh.ok()) return fresh;
  absl::StatusOr<std::string> aside =
      internal::MoveAside(options.path, absl::ToUnixSeconds(options.clock()));
  if (!aside.ok()) return aside.status();
  absl::Status placed = PlaceFresh(options.path);
  if (!placed.ok()) return placed;
  return absl::DataLossError(absl::StrCat(
      "the budget's ledger is damaged (", damage.message(), "); it was moved to ", *aside,
      "; what was spent is no longer known, so the next start counts this window's budget as spent "
      "(to forgive it, stop the program and remove ",
      options.path, ")"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Ledger>> Ledger::Open(const LedgerOptions& options) {
  absl::StatusOr<Limits> limits = CheckLimits(options.limit_usd, options.window, options.lease_usd);
  if (!limits.ok()) return limits.status();
  absl::StatusOr<FileLock> lock = FileLock::Acquire(options.path, "ledger");
  if (!lock.ok()) return lock.status();
  absl::Status finished = FinishQuarantine(options.path);
  if (!finished.ok()) return finished;
  absl::StatusOr<SqliteDb> db = OpenBooks(options.path);
  absl::Status read = db.status();
  if (db.ok()) {
    auto ledger = std::make_unique<SqliteLedger>(options, *limits, *std::move(db));
    read = ledger->Load();
    if (read.ok()) {
      ledger->Own(*std::move(lock));
      return ledger;
    }
  }
  return absl::IsDataLoss(read) ? Quarantine(options, *limits, read) : read;
}

absl::StatusOr<LedgerLook> Ledger::Look(const std::string& path, absl::Time now) {
  absl::StatusOr<SqliteDb> db = SqliteDb::OpenToLook(path);
  if (!db.ok()) return db.status();
  absl::Status sound = CheckBooks(&*db);
  if (!sound.ok()) return sound;
  absl::StatusOr<Books> books = ReadBooks(&*db);
  if (!books.ok()) return books.status();
  const bool over = now >= books->end;
  const int64_t spent = over ? 0 : Sum(books->spent, books->lease);
  return LedgerLook{ToUsd(spent), books->end, spent == kMaxNanos};
}

}  // namespace nearfar
