// Held while a file of ours is open, so that no two processes own it at once: flock on a side file
// "<path>.lock", which the kernel releases when its owner dies. Not on the file itself, where
// SQLite keeps locks of its own. Held by tests/router/ledger_test.cc and
// tests/router/internal/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_FILE_LOCK_H_
#define NEARFAR_ROUTER_INTERNAL_FILE_LOCK_H_

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"

namespace nearfar::internal {

// One caller at a time; released by the destructor.
class FileLock {
 public:
  FileLock() = default;  // holds nothing
  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileLock();

  // `what` names the file in messages: "ledger". Does not wait; of ":memory:" nothing is held.
  // Errors: Unavailable (another owner holds it, in this process or in another; or the side file
  // cannot be made).
  static absl::StatusOr<FileLock> Acquire(const std::string& path, std::string_view what);

 private:
  int fd_ = -1;
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_FILE_LOCK_H_
