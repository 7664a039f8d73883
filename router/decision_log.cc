// One table; the columns that a person filters by, and the whole record as JSON. WAL, so that a
// reader beside the daemon never blocks it; synchronous=NORMAL: a power cut may take the last
// records, never the file.

#include "router/decision_log.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "router/internal/record_json.h"
#include "router/internal/sqlite.h"

namespace nearfar {
namespace {

using internal::SqliteDb;
using internal::SqliteStatement;

constexpr int64_t kSchemaVersion = 1;
constexpr char kSchema[] = R"(
CREATE TABLE IF NOT EXISTS decision(
  row INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL,
  request_id TEXT NOT NULL, route TEXT NOT NULL, target TEXT NOT NULL, reason TEXT NOT NULL,
  detail TEXT NOT NULL, outcome TEXT NOT NULL, source TEXT NOT NULL, flagged INTEGER NOT NULL,
  flag_reason TEXT NOT NULL, confidence REAL, cost_usd REAL NOT NULL, seconds REAL NOT NULL,
  ttft_seconds REAL NOT NULL, near_tokens INTEGER NOT NULL, far_tokens INTEGER NOT NULL,
  egress_bytes INTEGER NOT NULL, tainted INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS decision_expires ON decision(expires_ns);
CREATE INDEX IF NOT EXISTS decision_time ON decision(time_ns);
PRAGMA user_version = 1;
)";

constexpr char kInsert[] =
    "INSERT INTO decision(time_ns, expires_ns, request_id, route, target, reason, detail, outcome, "
    "source, flagged, flag_reason, confidence, cost_usd, seconds, ttft_seconds, near_tokens, "
    "far_tokens, egress_bytes, tainted, record) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

constexpr char kSelect[] =
    "SELECT row, time_ns, request_id, route, target, reason, detail, outcome, source, flagged, "
    "flag_reason, confidence, cost_usd, seconds, ttft_seconds, near_tokens, far_tokens, "
    "egress_bytes, tainted, record FROM decision ";

LogRow ReadRow(const SqliteStatement& row) {
  LogRow out;
  out.row = row.Int(0);
  out.time = absl::FromUnixNanos(row.Int(1));
  out.request_id = row.Text(2);
  out.route = row.Text(3);
  out.target = row.Text(4);
  out.reason = row.Text(5);
  out.detail = row.Text(6);
  out.outcome = row.Text(7);
  out.source = row.Text(8);
  out.flagged = row.Int(9) != 0;
  out.flag_reason = row.Text(10);
  if (!row.IsNull(11)) out.confidence = row.Double(11);
  out.cost_usd = row.Double(12);
  out.seconds = row.Double(13);
  out.ttft_seconds = row.Double(14);
  out.near_tokens = row.Int(15);
  out.far_tokens = row.Int(16);
  out.egress_bytes = row.Int(17);
  out.tainted = row.Int(18) != 0;
  out.record_json = row.Text(19);
  return out;
}

void BindRecord(SqliteStatement* insert, const DecisionRecord& record, bool keep_text,
                absl::Time expires) {
  // The last decision is what a reader asks for; the JSON has them all.
  const Decision none;
  const Decision& last = record.decisions.empty() ? none : record.decisions.back();
  const bool decided = !record.decisions.empty();
  insert->Bind(1, absl::ToUnixNanos(record.time)).Bind(2, absl::ToUnixNanos(expires));
  insert->Bind(3, record.request_id).Bind(4, decided ? RouteName(last.route) : "");
  insert->Bind(5, last.target).Bind(6, decided ? ReasonName(last.reason) : "");
  insert->Bind(7, last.detail).Bind(8, record.outcome).Bind(9, record.source);
  insert->Bind(10, int64_t{record.flagged}).Bind(11, record.flag_reason);
  insert->Bind(12, record.confidence).Bind(13, record.cost_usd).Bind(14, record.seconds);
  insert->Bind(15, record.ttft_seconds).Bind(16, record.near_tokens).Bind(17, record.far_tokens);
  insert->Bind(18, record.egress_bytes).Bind(19, int64_t{record.tainted});
  insert->Bind(20, internal::RecordJson(record, keep_text));
}

class SqliteDecisionLog : public DecisionLog {
 public:
  SqliteDecisionLog(SqliteDb db, std::function<absl::Time()> clock, bool read_only,
                    std::string warning)
      : clock_(std::move(clock)),
        read_only_(read_only),
        warning_(std::move(warning)),
        db_(std::move(db)) {}

  absl::Status Append(const DecisionRecord& record, bool keep_text, absl::Duration keep) override {
    absl::Status written = read_only_ ? absl::FailedPreconditionError("the log is open for reading")
                                      : Write(record, keep_text, keep);
    if (!written.ok()) failed_writes_.fetch_add(1, std::memory_order_relaxed);
    return written;
  }

  absl::StatusOr<std::vector<LogRow>> Read(int limit, int64_t before_row) const override {
    if (before_row <= 0) before_row = std::numeric_limits<int64_t>::max();
    return Select("WHERE row < ? ORDER BY row DESC LIMIT ?", before_row, std::max(limit, 0));
  }

  absl::StatusOr<std::vector<LogRow>> ReadSince(absl::Time since) const override {
    return Select("WHERE time_ns >= ? ORDER BY row DESC LIMIT ?", absl::ToUnixNanos(since), -1);
  }

  int64_t failed_writes() const override { return failed_writes_.load(std::memory_order_relaxed); }
  const std::string& warning() const override { return warning_; }

 private:
  absl::Status Write(const DecisionRecord& record, bool keep_text, absl::Duration keep) {
    absl::MutexLock hold(&mu_);
    absl::Status begun = db_.Exec("BEGIN IMMEDIATE");
    if (!begun.ok()) return begun;
    absl::Status written = WriteRows(record, keep_text, keep);
    if (written.ok()) written = db_.Exec("COMMIT");
    if (!written.ok()) (void)db_.Exec("ROLLBACK");
    return written;
  }

  absl::Status WriteRows(const DecisionRecord& record, bool keep_text, absl::Duration keep)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    absl::StatusOr<SqliteStatement> prune =
        db_.Prepare("DELETE FROM decision WHERE expires_ns <= ?");
    if (!prune.ok()) return prune.status();
    absl::Status done = prune->Bind(1, absl::ToUnixNanos(clock_())).Run();
    if (!done.ok()) return done;
    absl::StatusOr<SqliteStatement> insert = db_.Prepare(kInsert);
    if (!insert.ok()) return insert.status();
    BindRecord(&*insert, record, keep_text, record.time + keep);
    return insert->Run();
  }

  // `where` holds two parameters, both integers.
  absl::StatusOr<std::vector<LogRow>> Select(const char* where, int64_t first,
                                             int64_t second) const {
    absl::MutexLock hold(&mu_);
    absl::StatusOr<SqliteStatement> rows = db_.Prepare(absl::StrCat(kSelect, where));
    if (!rows.ok()) return rows.status();
    rows->Bind(1, first).Bind(2, second);
    std::vector<LogRow> out;
    while (true) {
      absl::StatusOr<bool> row = rows->Step();
      if (!row.ok()) return row.status();
      if (!*row) return out;
      out.push_back(ReadRow(*rows));
    }
  }

  const std::function<absl::Time()> clock_;
  const bool read_only_;
  const std::string warning_;
  mutable absl::Mutex mu_;
  mutable SqliteDb db_ ABSL_GUARDED_BY(mu_);
  std::atomic<int64_t> failed_writes_{0};
};

absl::Status CheckVersion(SqliteDb* db) {
  absl::StatusOr<int64_t> version = db->UserVersion();
  if (!version.ok()) return version.status();
  if (*version > kSchemaVersion) {
    return absl::InternalError(absl::StrCat(db->path(), ": log schema ", *version,
                                            " is newer than this program (use a newer nearfar)"));
  }
  return absl::OkStatus();
}

absl::StatusOr<SqliteDb> OpenForWriting(const std::string& path) {
  absl::StatusOr<SqliteDb> db = SqliteDb::Open(path);
  if (!db.ok()) return db.status();
  absl::Status ready = CheckVersion(&*db);
  if (ready.ok()) ready = db->Exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
  if (ready.ok()) ready = db->Exec("PRAGMA secure_delete = ON;");
  if (ready.ok()) ready = db->Exec(kSchema);
  if (!ready.ok()) return ready;
  return db;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DecisionLog>> DecisionLog::Open(const DecisionLogOptions& options) {
  internal::RemoveMovedAside(options.path, absl::ToUnixSeconds(options.clock() - options.keep));
  absl::StatusOr<SqliteDb> db = OpenForWriting(options.path);
  std::string warning;
  if (absl::IsDataLoss(db.status())) {
    absl::StatusOr<std::string> aside =
        internal::MoveAside(options.path, absl::ToUnixSeconds(options.clock()));
    if (!aside.ok()) return aside.status();
    warning = absl::StrCat("decision log: ", db.status().message(), ": moved aside to ", *aside,
                           ", and a new log begins");
    db = OpenForWriting(options.path);
  }
  if (!db.ok()) return db.status();
  return std::make_unique<SqliteDecisionLog>(*std::move(db), options.clock, false,
                                             std::move(warning));
}

absl::StatusOr<std::unique_ptr<DecisionLog>> DecisionLog::OpenReadOnly(const std::string& path) {
  absl::StatusOr<SqliteDb> db = SqliteDb::OpenReadOnly(path);
  if (!db.ok()) return db.status();
  absl::Status version = CheckVersion(&*db);
  if (!version.ok()) return version;
  return std::make_unique<SqliteDecisionLog>(
      *std::move(db), [] { return absl::Now(); }, true, "");
}

}  // namespace nearfar
