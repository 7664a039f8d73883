// Maps a file read-only. Held by tests/local_engine/base/mapped_file_test.cc.

#include "local_engine/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "local_engine/base/aligned_buffer.h"
#include "local_engine/base/descriptor.h"

namespace nearfar {
namespace {

void* Map(int fd, size_t bytes) { return mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0); }

// At a multiple of a huge page, where the system can put huge pages of the file as they are.
void* MapForHugePages(int fd, size_t bytes) {
  constexpr size_t kAround = AlignedBuffer::kHugePageBytes;
  const size_t reserved = bytes + kAround;
  void* around =
      mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (around == MAP_FAILED) return MAP_FAILED;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(around);
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t start = (begin + kAround - 1) / kAround * kAround;
  const uintptr_t end = (start + bytes + page - 1) / page * page;
  void* pages =
      mmap(reinterpret_cast<void*>(start), bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
  if (pages == MAP_FAILED) {
    munmap(around, reserved);
    return MAP_FAILED;
  }
  madvise(pages, bytes, MADV_HUGEPAGE);  // a hint
  if (start > begin) munmap(around, start - begin);
  if (begin + reserved > end) munmap(reinterpret_cast<void*>(end), begin + reserved - end);
  return pages;
}

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

absl::StatusOr<std::unique_ptr<MappedFile>> MappedFile::Open(const std::string& path,
                                                             Pages wanted) {
  // O_NONBLOCK: a pipe in the file's place must not hold the caller.
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  const absl::StatusOr<Stamp> stamp = ReadStamp(file.get(), path);
  if (!stamp.ok()) return stamp.status();
  const size_t size = static_cast<size_t>(stamp->bytes);
  void* pages = wanted == Pages::kHuge ? MapForHugePages(file.get(), size) : Map(file.get(), size);
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

// By what the system tells of the mapping: "7f00-7f80 r--p ..." and then lines as "Rss:  64 kB".
bool MappedFile::HasHugePages() const {
  std::ifstream mappings("/proc/self/smaps");
  const std::string start =
      absl::StrCat(absl::Hex(reinterpret_cast<uintptr_t>(bytes_.data())), "-");
  std::string line;
  while (std::getline(mappings, line) && !absl::StartsWith(line, start)) {
  }
  int64_t present = 0, huge = 0;  // KiB
  while (std::getline(mappings, line) && !absl::StartsWith(line, "VmFlags:")) {
    std::istringstream words(line);
    std::string name;
    int64_t kibibytes = 0;
    words >> name >> kibibytes;
    if (name == "Rss:") present = kibibytes;
    if (name == "FilePmdMapped:") huge = kibibytes;
  }
  return huge > present / 2;
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
