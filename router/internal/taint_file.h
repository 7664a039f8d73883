// The tainted sessions and the device's salt, in SQLite, so that neither is forgotten when the
// process ends. Holds hashes, never a session's name; 0600; synchronous=FULL: what was added is
// there after kill -9 and after a power cut. One caller at a time; one process at a time owns the
// folder (ledger.h). Held by tests/router/internal/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_TAINT_FILE_H_
#define NEARFAR_ROUTER_INTERNAL_TAINT_FILE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "router/internal/sqlite.h"

namespace nearfar::internal {

class TaintFile {
 public:
  // Makes a missing file, with a salt of its own. Errors: DataLoss (damaged, or no such file of
  // ours), Unavailable (cannot be opened or written), Internal (of a newer program; no salt).
  static absl::StatusOr<TaintFile> Open(const std::string& path);

  const std::string& salt() const { return salt_; }
  // Oldest first.
  absl::StatusOr<std::vector<std::string>> Read();
  // Durable once they return. Adding what is there and removing what is not changes nothing.
  absl::Status Add(const std::string& hash);
  absl::Status Remove(const std::string& hash);

 private:
  explicit TaintFile(SqliteDb db) : db_(std::move(db)) {}
  absl::Status Prepare();
  absl::Status ReadSalt();
  absl::Status Run(const char* sql, const std::string& value);

  SqliteDb db_;
  std::string salt_;
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_TAINT_FILE_H_
