// A whole file, mapped read-only. Held by tests/local_engine/base/mapped_file_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_MAPPED_FILE_H_
#define NEARFAR_LOCAL_ENGINE_BASE_MAPPED_FILE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace nearfar {

// Immutable. The pages live as long as the object; they are the file's, unless they were moved to
// huge pages: what is written to it shows, and what is cut off it ends the process that reads there
// (SIGBUS).
class MappedFile {
 public:
  // kHuge: on a boundary of a huge page, where the page cache's huge pages, if it has any, can be
  // mapped as they are.
  enum class Pages { kUsual, kHuge };

  // Errors: NotFound, PermissionDenied, InvalidArgument (a directory, or an empty file).
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(const std::string& path,
                                                          Pages wanted = Pages::kUsual);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  absl::Span<const uint8_t> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  // Of the last write before Open, in nanoseconds since 1970.
  int64_t modified() const { return stamp_.seconds * 1'000'000'000 + stamp_.nanoseconds; }
  // The open file, for fstat and pread; the object's own.
  int descriptor() const { return fd_; }

  // Takes the pages that lie wholly within `part` out of this process's memory, until they are read
  // again. Not after MoveToHugePages: what was moved would be lost.
  void ReleasePages(absl::Span<const uint8_t> part) const;

  // Whether this system gives huge pages, of the size that is counted on, to who asks for them.
  static bool HugePagesCanBeHad();
  // Puts huge pages of this process, with the same bytes, in the place of those that are mapped
  // from `offset` on, one after the other: the file's are often small ones, which are slower to
  // read. They are the process's alone from then on. Others may read there meanwhile. Where `stop`
  // is set, or after an error, the rest stays mapped. `offset` is a multiple of a huge page, and
  // the file was opened for kHuge.
  absl::Status MoveToHugePages(size_t offset, const std::atomic<bool>& stop) const;

  // Unavailable if the file (not its name: another may have been renamed over it) was written to
  // since Open, as its size and its time of change tell.
  absl::Status CheckUnchanged() const;

 private:
  struct Stamp {
    int64_t bytes;
    int64_t seconds;  // of the last write
    int64_t nanoseconds;
    bool operator==(const Stamp&) const = default;
  };

  static absl::StatusOr<Stamp> ReadStamp(int fd, const std::string& path);
  absl::Status MovePiece(size_t at, size_t count) const;
  MappedFile(std::string path, int fd, const Stamp& stamp, absl::Span<const uint8_t> bytes)
      : path_(std::move(path)), fd_(fd), stamp_(stamp), bytes_(bytes) {}

  const std::string path_;
  const int fd_;
  const Stamp stamp_;
  const absl::Span<const uint8_t> bytes_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_MAPPED_FILE_H_
