// See sqlite.h.

#include "router/internal/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace nearfar::internal {
namespace {

constexpr int kBusyMilliseconds = 2000;
constexpr char kAside[] = ".damaged-";

bool IsMemory(const std::string& path) { return path == ":memory:"; }

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

absl::Status NoSuchFile(const std::string& path) {
  return absl::NotFoundError(absl::StrCat(path, ": there is no such file"));
}

// https://www.sqlite.org/uri.html: these three would end the path, or be decoded.
std::string UriOf(const std::string& path) {
  return absl::StrCat("file:",
                      absl::StrReplaceAll(path, {{"%", "%25"}, {"?", "%3f"}, {"#", "%23"}}));
}

// SQLite creates files with 0644; ours hold what a person asked and what it cost.
absl::Status CreatePrivate(const std::string& path) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return absl::UnavailableError(
        absl::StrCat(path, ": cannot be opened for writing: ", std::strerror(errno)));
  }
  struct stat info;
  int bad = fstat(fd, &info);
  if (bad == 0 && (info.st_mode & 077) != 0) bad = fchmod(fd, 0600);
  close(fd);
  if (bad != 0) {
    return absl::UnavailableError(absl::StrCat(path, ": cannot be made private (chmod 600)"));
  }
  return absl::OkStatus();
}

}  // namespace

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : db_(other.db_),
      statement_(std::exchange(other.statement_, nullptr)),
      bind_error_(other.bind_error_) {}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

SqliteStatement& SqliteStatement::Bind(int position, int64_t value) {
  bind_error_ |= sqlite3_bind_int64(statement_, position, value);
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int position, double value) {
  bind_error_ |= sqlite3_bind_double(statement_, position, value);
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int position, std::string_view value) {
  bind_error_ |= sqlite3_bind_text64(statement_, position, value.data() ? value.data() : "",
                                     value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int position, std::optional<double> value) {
  if (value) return Bind(position, *value);
  bind_error_ |= sqlite3_bind_null(statement_, position);
  return *this;
}

absl::StatusOr<bool> SqliteStatement::Step() {
  if (bind_error_ != 0) return db_->Error(bind_error_, "bind");
  int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return db_->Error(code, "step");
}

absl::Status SqliteStatement::Run() {
  while (true) {
    absl::StatusOr<bool> row = Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
  }
}

int64_t SqliteStatement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

double SqliteStatement::Double(int column) const {
  return sqlite3_column_double(statement_, column);
}

std::string SqliteStatement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text ? std::string(text, sqlite3_column_bytes(statement_, column)) : std::string();
}

bool SqliteStatement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

absl::StatusOr<SqliteDb> SqliteDb::Open(const std::string& path) {
  if (!IsMemory(path)) {
    absl::Status made = CreatePrivate(path);
    if (!made.ok()) return made;
  }
  return OpenFlags(path, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
}

absl::StatusOr<SqliteDb> SqliteDb::OpenReadOnly(const std::string& path) {
  if (!Exists(path)) return NoSuchFile(path);
  return OpenFlags(path, path, SQLITE_OPEN_READONLY);
}

absl::StatusOr<SqliteDb> SqliteDb::OpenToLook(const std::string& path) {
  if (!Exists(path)) return NoSuchFile(path);
  // With a write-ahead log the side files are there already. Without one nobody writes, and SQLite
  // may take the file for unchangeable: it then makes none. A writer that starts just now is seen
  // half at worst, which the look's integrity check finds.
  if (Exists(path + "-wal")) return OpenReadOnly(path);
  return OpenFlags(path, absl::StrCat(UriOf(path), "?immutable=1"),
                   SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

absl::StatusOr<SqliteDb> SqliteDb::OpenFlags(const std::string& path, const std::string& name,
                                             int flags) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &raw, flags, nullptr);
  SqliteDb db(path, raw);
  if (code != SQLITE_OK) return db.Error(code, "open");
  sqlite3_busy_timeout(raw, kBusyMilliseconds);
  return db;
}

SqliteDb::SqliteDb(SqliteDb&& other) noexcept
    : path_(std::move(other.path_)), db_(std::exchange(other.db_, nullptr)) {}

SqliteDb& SqliteDb::operator=(SqliteDb&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(db_, other.db_);
  return *this;
}

SqliteDb::~SqliteDb() { sqlite3_close_v2(db_); }

absl::Status SqliteDb::Error(int code, const char* doing) const {
  const char* what = db_ ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
  std::string message = absl::StrCat(path_, ": ", doing, ": ", what);
  int primary = code & 0xff;
  if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB) return absl::DataLossError(message);
  return absl::UnavailableError(message);
}

absl::Status SqliteDb::Exec(const char* sql) {
  int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code, "write");
}

absl::StatusOr<SqliteStatement> SqliteDb::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  if (code != SQLITE_OK) return Error(code, "prepare");
  return SqliteStatement(this, statement);
}

absl::Status SqliteDb::CheckIntegrity() {
  absl::StatusOr<SqliteStatement> check = Prepare("PRAGMA integrity_check(1)");
  if (!check.ok()) return check.status();
  absl::StatusOr<bool> row = check->Step();
  if (!row.ok()) return row.status();
  std::string verdict = *row ? check->Text(0) : "no answer";
  if (verdict != "ok") return absl::DataLossError(absl::StrCat(path_, ": ", verdict));
  return absl::OkStatus();
}

absl::StatusOr<int64_t> SqliteDb::UserVersion() {
  absl::StatusOr<SqliteStatement> get = Prepare("PRAGMA user_version");
  if (!get.ok()) return get.status();
  absl::StatusOr<bool> row = get->Step();
  if (!row.ok()) return row.status();
  return *row ? get->Int(0) : 0;
}

int64_t SqliteDb::LastInsertRow() const { return sqlite3_last_insert_rowid(db_); }

absl::StatusOr<std::string> MoveAside(const std::string& path, int64_t unix_seconds) {
  std::string aside = absl::StrCat(path, kAside, unix_seconds);
  for (int i = 1; access(aside.c_str(), F_OK) == 0; ++i) {
    aside = absl::StrCat(path, kAside, unix_seconds, "-", i);
  }
  if (std::rename(path.c_str(), aside.c_str()) != 0) {
    return absl::InternalError(
        absl::StrCat(path, ": damaged, and cannot be moved aside: ", std::strerror(errno)));
  }
  // A journal left behind would be replayed into the next, fresh file.
  for (const char* side : {"-wal", "-shm", "-journal"}) {
    std::rename(absl::StrCat(path, side).c_str(), absl::StrCat(aside, side).c_str());
  }
  return aside;
}

void RemoveMovedAside(const std::string& path, int64_t before_unix_seconds) {
  if (IsMemory(path)) return;
  namespace fs = std::filesystem;
  const fs::path file(path);
  const std::string aside = absl::StrCat(file.filename().string(), kAside);
  const fs::path folder = file.has_parent_path() ? file.parent_path() : ".";
  std::vector<std::string> old;
  std::error_code error;
  // Not a range-for, whose steps throw.
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    struct stat info;
    if (absl::StartsWith(entry->path().filename().string(), aside) &&
        stat(entry->path().c_str(), &info) == 0 && info.st_mtime < before_unix_seconds) {
      old.push_back(entry->path().string());
    }
  }
  for (const std::string& gone : old) std::remove(gone.c_str());
}

}  // namespace nearfar::internal
