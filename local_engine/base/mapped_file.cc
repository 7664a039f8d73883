// Maps a file read-only. Held by tests/local_engine/base/mapped_file_test.cc.

#include "local_engine/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "local_engine/base/aligned_buffer.h"
#include "local_engine/base/descriptor.h"

namespace nearfar {
namespace {

void* Map(int fd, size_t bytes) { return mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0); }

constexpr size_t kHuge = AlignedBuffer::kHugePageBytes;

size_t WholePages(size_t bytes) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

// Whole pages of address space at a multiple of a huge page, of which nothing can be read yet; or
// nullptr.
uint8_t* Reserve(size_t bytes) {
  const size_t around = bytes + kHuge;
  void* pages =
      mmap(nullptr, around, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return nullptr;
  uint8_t* const begin = static_cast<uint8_t*>(pages);
  uint8_t* const start = begin + (kHuge - reinterpret_cast<uintptr_t>(begin) % kHuge) % kHuge;
  if (start > begin) munmap(begin, start - begin);
  if (begin + around > start + bytes) munmap(start + bytes, begin + around - (start + bytes));
  return start;
}

void* MapForHugePages(int fd, size_t bytes) {
  uint8_t* const start = Reserve(WholePages(bytes));
  if (start == nullptr) return MAP_FAILED;
  void* pages = mmap(start, bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
  if (pages == MAP_FAILED) {
    munmap(start, WholePages(bytes));
    return MAP_FAILED;
  }
  madvise(pages, bytes, MADV_HUGEPAGE);  // a hint
  return pages;
}

bool ReadWhole(int fd, uint8_t* to, size_t count, size_t at) {
  while (count > 0) {
    const ssize_t read = pread(fd, to, count, static_cast<off_t>(at));
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) return false;
    to += read;
    at += static_cast<size_t>(read);
    count -= static_cast<size_t>(read);
  }
  return true;
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

// "always [madvise] never", and the size of one.
bool MappedFile::HugePagesCanBeHad() {
  const std::string folder = "/sys/kernel/mm/transparent_hugepage/";
  std::string choices;
  std::getline(std::ifstream(folder + "enabled"), choices);
  size_t bytes = 0;
  std::ifstream(folder + "hpage_pmd_size") >> bytes;
  return bytes == kHuge && !choices.empty() && choices.find("[never]") == std::string::npos;
}

absl::Status MappedFile::MoveToHugePages(size_t offset, const std::atomic<bool>& stop) const {
  for (size_t at = offset; at < bytes_.size() && !stop; at += kHuge) {
    const absl::Status status = MovePiece(at, std::min(kHuge, bytes_.size() - at));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// mremap takes the place of what is mapped in one step: the system lets no thread of the process
// fault on these addresses before it is done. Where it fails it may have unmapped them already.
absl::Status MappedFile::MovePiece(size_t at, size_t count) const {
  uint8_t* const copy = Reserve(kHuge);
  if (copy == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("no memory for ", path_));
  const size_t length = WholePages(count);
  madvise(copy, kHuge, MADV_HUGEPAGE);
  const bool filled = mprotect(copy, kHuge, PROT_READ | PROT_WRITE) == 0 &&
                      ReadWhole(fd_, copy, count, at) && mprotect(copy, kHuge, PROT_READ) == 0;
  uint8_t* const place = const_cast<uint8_t*>(bytes_.data()) + at;
  if (filled && mremap(copy, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place) {
    if (length < kHuge) munmap(copy + length, kHuge - length);
    return absl::OkStatus();
  }
  if (filled && mmap(place, count, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd_,
                     static_cast<off_t>(at)) != place) {
    std::abort();  // whoever reads there next would read anything
  }
  munmap(copy, kHuge);
  return absl::UnavailableError(absl::StrCat("cannot move ", path_, " into huge pages"));
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
