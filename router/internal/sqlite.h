// A thin hold on SQLite: opens, runs and binds with absl::Status, closes by itself.
// Why: the ledger and the decision log both need it, and neither may leak a handle or forget a
// result code. Held by the tests of both (tests/router/ledger_test.cc, decision_log_test.cc).

#ifndef NEARFAR_ROUTER_INTERNAL_SQLITE_H_
#define NEARFAR_ROUTER_INTERNAL_SQLITE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace nearfar::internal {

class SqliteDb;

// One prepared statement. Bind by 1-based position, then Step. One caller at a time.
class SqliteStatement {
 public:
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&&) = delete;
  ~SqliteStatement();

  SqliteStatement& Bind(int position, int64_t value);
  SqliteStatement& Bind(int position, double value);
  SqliteStatement& Bind(int position, std::string_view value);
  SqliteStatement& Bind(int position, std::optional<double> value);

  // True: a row is there. False: done.
  absl::StatusOr<bool> Step();
  // Runs to the end and drops rows.
  absl::Status Run();

  int64_t Int(int column) const;
  double Double(int column) const;
  std::string Text(int column) const;
  bool IsNull(int column) const;

 private:
  friend class SqliteDb;
  SqliteStatement(SqliteDb* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}

  SqliteDb* db_;
  sqlite3_stmt* statement_;
  int bind_error_ = 0;
};

// One connection. One caller at a time; the owner locks.
class SqliteDb {
 public:
  // Creates a missing file with mode 0600 and narrows a wider one.
  // Errors: Unavailable (the file cannot be opened or created).
  static absl::StatusOr<SqliteDb> Open(const std::string& path);
  // Errors: NotFound, Unavailable.
  static absl::StatusOr<SqliteDb> OpenReadOnly(const std::string& path);
  // For one look, now: makes no file, not even the side files that SQLite leaves behind for a
  // reader of a WAL database. Works beside a process that writes. Errors: NotFound, Unavailable.
  static absl::StatusOr<SqliteDb> OpenToLook(const std::string& path);

  SqliteDb(SqliteDb&& other) noexcept;
  SqliteDb& operator=(SqliteDb&& other) noexcept;
  ~SqliteDb();

  // Runs one or more statements without parameters. Errors: DataLoss (the file is damaged or no
  // database), Unavailable (everything else that the disk can do).
  absl::Status Exec(const char* sql);
  absl::StatusOr<SqliteStatement> Prepare(std::string_view sql);
  // DataLoss unless SQLite finds every page in order.
  absl::Status CheckIntegrity();
  absl::StatusOr<int64_t> UserVersion();
  int64_t LastInsertRow() const;
  const std::string& path() const { return path_; }

 private:
  friend class SqliteStatement;
  SqliteDb(std::string path, sqlite3* db) : path_(std::move(path)), db_(db) {}
  static absl::StatusOr<SqliteDb> OpenFlags(const std::string& path, const std::string& name,
                                            int flags);
  absl::Status Error(int code, const char* doing) const;

  std::string path_;
  sqlite3* db_ = nullptr;
};

// Moves a damaged database and its side files to "<path>.damaged-<unix seconds>"; returns that
// path.
absl::StatusOr<std::string> MoveAside(const std::string& path, int64_t unix_seconds);
// Deletes what MoveAside moved, where it was last written before `before_unix_seconds`.
// Housekeeping: what cannot be deleted stays until the next time.
void RemoveMovedAside(const std::string& path, int64_t before_unix_seconds);

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_SQLITE_H_
