// See taint_file.h.

#include "router/internal/taint_file.h"

#include "absl/strings/str_cat.h"
#include "router/internal/salted_hash.h"

namespace nearfar::internal {
namespace {

constexpr int64_t kSchemaVersion = 1;
constexpr char kSchema[] = R"(
CREATE TABLE IF NOT EXISTS salt(only INTEGER PRIMARY KEY CHECK (only = 1), hex TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tainted(row INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE) STRICT;
PRAGMA user_version = 1;
)";

}  // namespace

absl::StatusOr<TaintFile> TaintFile::Open(const std::string& path) {
  absl::StatusOr<FileLock> lock = FileLock::Acquire(path, "list of tainted sessions");
  if (!lock.ok()) return absl::FailedPreconditionError(lock.status().message());
  absl::StatusOr<SqliteDb> db = SqliteDb::Open(path);
  if (!db.ok()) return db.status();
  TaintFile file(*std::move(db));
  file.lock_ = *std::move(lock);
  absl::Status ready = file.Prepare();
  if (ready.ok()) ready = file.MakeSalt();
  if (ready.ok()) ready = file.ReadSalt();
  if (!ready.ok()) return ready;
  return file;
}

absl::StatusOr<TaintFile> TaintFile::Look(const std::string& path) {
  absl::StatusOr<SqliteDb> db = SqliteDb::OpenToLook(path);
  if (!db.ok()) return db.status();
  TaintFile file(*std::move(db));
  absl::Status ready = file.CheckVersion();
  if (ready.ok()) ready = file.db_.CheckIntegrity();
  if (ready.ok()) ready = file.ReadSalt();
  if (!ready.ok()) return ready;
  return file;
}

absl::Status TaintFile::CheckVersion() {
  absl::StatusOr<int64_t> version = db_.UserVersion();
  if (!version.ok()) return version.status();
  if (*version <= kSchemaVersion) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(db_.path(), ": schema ", *version,
                                          " is newer than this program (use a newer nearfar)"));
}

absl::Status TaintFile::Prepare() {
  absl::Status ready = CheckVersion();
  if (ready.ok()) ready = db_.Exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
  if (ready.ok()) ready = db_.Exec("PRAGMA secure_delete = ON;");
  if (ready.ok()) ready = db_.Exec(kSchema);
  // A row lost to damage would let its session out.
  if (ready.ok()) ready = db_.CheckIntegrity();
  return ready;
}

absl::Status TaintFile::MakeSalt() {
  absl::StatusOr<std::string> fresh = NewSalt();
  if (!fresh.ok()) return fresh.status();
  return Run("INSERT OR IGNORE INTO salt(only, hex) VALUES (1, ?)", *fresh);
}

absl::Status TaintFile::ReadSalt() {
  absl::StatusOr<SqliteStatement> select = db_.Prepare("SELECT hex FROM salt");
  if (!select.ok()) return select.status();
  absl::StatusOr<bool> row = select->Step();
  if (!row.ok()) return row.status();
  if (!*row) return absl::DataLossError(absl::StrCat(db_.path(), ": holds no salt"));
  salt_ = select->Text(0);
  return absl::OkStatus();
}

absl::Status TaintFile::Read(absl::FunctionRef<void(const std::string& hash)> on_hash) {
  absl::StatusOr<SqliteStatement> select = db_.Prepare("SELECT hash FROM tainted ORDER BY row");
  if (!select.ok()) return select.status();
  while (true) {
    absl::StatusOr<bool> row = select->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    on_hash(select->Text(0));
  }
}

absl::Status TaintFile::Add(const std::vector<std::string>& hashes) {
  absl::Status written = db_.Exec("BEGIN IMMEDIATE");
  if (!written.ok()) return written;
  for (const std::string& hash : hashes) {
    if (written.ok()) written = Run("INSERT OR IGNORE INTO tainted(hash) VALUES (?)", hash);
  }
  if (written.ok()) written = db_.Exec("COMMIT");
  if (!written.ok()) (void)db_.Exec("ROLLBACK");  // fails where SQLite rolled back by itself
  return written;
}

absl::Status TaintFile::Remove(const std::string& hash) {
  return Run("DELETE FROM tainted WHERE hash = ?", hash);
}

absl::Status TaintFile::Run(const char* sql, const std::string& value) {
  absl::StatusOr<SqliteStatement> statement = db_.Prepare(sql);
  if (!statement.ok()) return statement.status();
  return statement->Bind(1, value).Run();
}

}  // namespace nearfar::internal
