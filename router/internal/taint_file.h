// The tainted sessions and the device's salt, in SQLite, so that neither is forgotten when the
// process ends. Holds hashes, never a session's name; 0600; synchronous=FULL: what was added is
// there after kill -9 and after a power cut. One caller at a time; one owner at a time (file lock),
// as two would each lack what the other adds. Held by tests/router/internal/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_TAINT_FILE_H_
#define NEARFAR_ROUTER_INTERNAL_TAINT_FILE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "router/internal/file_lock.h"
#include "router/internal/sqlite.h"

namespace nearfar::internal {

class TaintFile {
 public:
  // Makes a missing file, with a salt of its own. Errors: FailedPrecondition (another process owns
  // it), DataLoss (damaged, or no such file of ours), Unavailable (cannot be opened or written),
  // Internal (of a newer program; no salt).
  static absl::StatusOr<TaintFile> Open(const std::string& path);
  // Reads without owning: makes and writes no file; also while a process owns it. Only salt() and
  // Read may follow. Errors: NotFound (nothing was ever tainted), and those of Open.
  static absl::StatusOr<TaintFile> Look(const std::string& path);

  const std::string& salt() const { return salt_; }
  // Oldest first.
  absl::Status Read(absl::FunctionRef<void(const std::string& hash)> on_hash);
  // Durable, all or none, once it returns. Adding what is there changes nothing.
  absl::Status Add(const std::vector<std::string>& hashes);
  // Durable once it returns. Removing what is not there changes nothing.
  absl::Status Remove(const std::string& hash);

 private:
  explicit TaintFile(SqliteDb db) : db_(std::move(db)) {}
  absl::Status CheckVersion();
  absl::Status Prepare();
  absl::Status MakeSalt();
  absl::Status ReadSalt();
  absl::Status Run(const char* sql, const std::string& value);

  FileLock lock_;  // before db_: released after it
  SqliteDb db_;
  std::string salt_;
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_TAINT_FILE_H_
