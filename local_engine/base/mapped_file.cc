// Maps a file read-only. Held by tests/local_engine/base/mapped_file_test.cc.

#include "local_engine/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace nearfar {
namespace {

// Closes the descriptor of a file that is not mapped after all.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace

// Of an open regular file that is not empty.
absl::StatusOr<MappedFile::Stamp> MappedFile::ReadStamp(int fd, const std::string& path) {
  struct stat info;
  if (fstat(fd, &info) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot stat ", path));
  if (S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is a directory, a file is needed"));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  }
  if (info.st_size == 0) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is empty (download it again)"));
  }
  return Stamp{info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

absl::StatusOr<std::unique_ptr<MappedFile>> MappedFile::Open(const std::string& path) {
  // O_NONBLOCK: a pipe in the file's place must not hold the caller.
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  const absl::StatusOr<Stamp> stamp = ReadStamp(file.get(), path);
  if (!stamp.ok()) return stamp.status();
  const size_t size = static_cast<size_t>(stamp->bytes);
  void* pages = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (pages == MAP_FAILED) return absl::ErrnoToStatus(errno, absl::StrCat("cannot map ", path));
  const auto bytes = absl::MakeConstSpan(static_cast<const uint8_t*>(pages), size);
  return std::unique_ptr<MappedFile>(new MappedFile(path, file.Release(), *stamp, bytes));
}

MappedFile::~MappedFile() {
  munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
  close(fd_);
}

void MappedFile::ReleasePages(absl::Span<const uint8_t> part) const {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t from = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t begin = (from + page - 1) / page * page;
  const uintptr_t end = (from + part.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

absl::Status MappedFile::CheckUnchanged() const {
  const absl::StatusOr<Stamp> now = ReadStamp(fd_, path_);
  if (now.ok() && *now == stamp_) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(path_,
                   " was changed while it was opened (open it again; to replace a file, "
                   "rename the new one over it)"));
}

}  // namespace nearfar
