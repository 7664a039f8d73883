// A whole file, mapped read-only. Held by tests/local_engine/base/mapped_file_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_MAPPED_FILE_H_
#define NEARFAR_LOCAL_ENGINE_BASE_MAPPED_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace nearfar {

// Immutable. The pages live as long as the object.
class MappedFile {
 public:
  // Errors: NotFound, PermissionDenied, InvalidArgument (a directory, or an empty file).
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  absl::Span<const uint8_t> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, absl::Span<const uint8_t> bytes)
      : path_(std::move(path)), bytes_(bytes) {}

  std::string path_;
  absl::Span<const uint8_t> bytes_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_MAPPED_FILE_H_
