// See file_lock.h.

#include "router/internal/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace nearfar::internal {

FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<FileLock> FileLock::Acquire(const std::string& path, std::string_view what) {
  FileLock lock;
  if (path == ":memory:") return lock;
  const std::string side = path + ".lock";
  lock.fd_ = open(side.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock.fd_ < 0) {
    return absl::UnavailableError(absl::StrCat(side, ": cannot be opened: ", std::strerror(errno)));
  }
  if (flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
    return absl::UnavailableError(absl::StrCat(path, ": another process owns this ",
                                               std::string(what),
                                               " (stop it, or give this one another path)"));
  }
  return lock;
}

}  // namespace nearfar::internal
