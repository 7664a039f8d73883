// A parsed and fully checked GGUF file (versions 2 and 3, little-endian).
//
// Nothing of the file is trusted: every count is bounded by the bytes left over the smallest entry
// (and those of entries and tensors by a number of their own), every product is checked and every
// sum is of numbers that the file's size bounds, offsets are aligned, inside the file and do not
// overlap, keys and tensor names are unique, strings are UTF-8. A refusal names byte offset and
// field.
//
// The file stays mapped. One that is written to while it is open changes the model under way, and
// one that is cut short ends the process (SIGBUS): model files are replaced by renaming another
// over them. What was checked is not read a second time for its lengths, so that a changed file is
// never read past. Knows no model. Held by tests/local_engine/gguf/gguf_file_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_GGUF_GGUF_FILE_H_
#define NEARFAR_LOCAL_ENGINE_GGUF_GGUF_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "local_engine/base/mapped_file.h"
#include "local_engine/gguf/gguf_value.h"
#include "local_engine/quant/dtype.h"

namespace nearfar {

struct GgufTensor {
  std::string_view name;  // borrowed from the file
  DType dtype;
  std::vector<int64_t> shape;     // GGUF order: shape[0] is the contiguous dimension (columns)
  const uint8_t* data = nullptr;  // borrowed from the file
  int64_t bytes = 0;

  int64_t columns() const { return shape.empty() ? 1 : shape[0]; }
  int64_t rows() const;  // product of the other dimensions
};

// Immutable; owns the mapping that values and tensors borrow from.
class GgufFile {
 public:
  // Errors: those of MappedFile::Open; InvalidArgument ("offset 0x1c: tensor_count: ...");
  // Unimplemented (a version, byte order or tensor type not read here).
  static absl::StatusOr<std::unique_ptr<GgufFile>> Open(const std::string& path);
  static absl::StatusOr<std::unique_ptr<GgufFile>> Parse(std::unique_ptr<MappedFile> file);

  uint32_t version() const { return version_; }
  int64_t file_bytes() const { return static_cast<int64_t>(file_->bytes().size()); }
  int64_t data_offset() const { return data_offset_; }
  const MappedFile& mapped() const { return *file_; }
  // Errors as MappedFile has them; to be asked once all that is decoded at the start has been read.
  absl::Status CheckUnchanged() const { return file_->CheckUnchanged(); }
  // See MappedFile.
  void ReleasePages(absl::Span<const uint8_t> part) const { file_->ReleasePages(part); }
  absl::Span<const GgufTensor> tensors() const { return tensors_; }
  const GgufTensor* FindTensor(std::string_view name) const;

  // In file order.
  absl::Span<const GgufEntry> entries() const { return entries_; }
  const GgufValue* Find(std::string_view key) const;

  // Typed reads. NotFound names the key; InvalidArgument says which type stands there instead.
  // Integers of any width that fit are accepted. Unavailable: the file changed since it was opened.
  absl::StatusOr<int64_t> GetInt(std::string_view key) const;
  absl::StatusOr<double> GetFloat(std::string_view key) const;
  absl::StatusOr<bool> GetBool(std::string_view key) const;
  absl::StatusOr<std::string_view> GetString(std::string_view key) const;
  absl::StatusOr<std::vector<std::string_view>> GetStrings(std::string_view key) const;
  absl::StatusOr<std::vector<int64_t>> GetInts(std::string_view key) const;

  // SHA-256 (lower-case hex) of header, metadata and tensor table, 64 blocks of 4 KiB sampled
  // evenly from the tensor data, and the file's size: identifies the weights without reading them
  // all.
  std::string Fingerprint() const;

 private:
  GgufFile() = default;

  std::unique_ptr<MappedFile> file_;
  uint32_t version_ = 0;
  int64_t data_offset_ = 0;
  std::vector<GgufEntry> entries_;
  std::vector<GgufTensor> tensors_;
  absl::flat_hash_map<std::string_view, int> entry_index_;
  absl::flat_hash_map<std::string_view, int> tensor_index_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_GGUF_GGUF_FILE_H_
