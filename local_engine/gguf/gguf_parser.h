// The one pass over a GGUF file's header, metadata and tensor table that checks every byte of them.
// Internal to local_engine/gguf/. Held by tests/local_engine/gguf/gguf_file_test.cc and the mutants
// of gguf_mutant_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_GGUF_GGUF_PARSER_H_
#define NEARFAR_LOCAL_ENGINE_GGUF_GGUF_PARSER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "local_engine/base/bytes.h"
#include "local_engine/gguf/gguf_file.h"

namespace nearfar {

// What a checked file contains; everything borrows from the bytes.
struct GgufContents {
  uint32_t version = 0;
  int64_t data_offset = 0;
  std::vector<GgufEntry> entries;
  std::vector<GgufTensor> tensors;
  absl::flat_hash_map<std::string_view, int> entry_index;
  absl::flat_hash_map<std::string_view, int> tensor_index;
};

// One use: construct, Parse. One caller at a time.
class GgufParser {
 public:
  explicit GgufParser(absl::Span<const uint8_t> file) : file_(file), reader_(file) {}

  // Errors as GgufFile::Parse has them.
  absl::Status Parse(GgufContents* contents);

 private:
  // Where a tensor's data shall be, before the start of the data section is known.
  struct Extent {
    uint64_t offset;  // within the data section
    uint64_t bytes;
    uint64_t field_offset;  // of the offset field in the file, for messages
    int tensor;
  };

  absl::Status ParseHeader();
  absl::Status ParseMagic();
  absl::Status ParseVersion();
  absl::Status ParseCount(const char* field, uint64_t least_entry_bytes, uint64_t* count);

  absl::Status ParseEntry(uint64_t index);
  absl::Status ParseKey(const std::string& field, std::string_view* key);
  absl::Status ParseValueType(const std::string& field, GgufType* type);
  absl::Status ParsePayload(const std::string& field, GgufValue* value);
  absl::Status ParseArrayHead(const std::string& field, GgufValue* value);
  absl::Status ParseElements(const std::string& field, GgufValue* value);
  absl::Status CheckBools(const std::string& field, const GgufValue& value);
  absl::Status FindAlignment();

  absl::Status ParseTensor(uint64_t index);
  absl::Status ParseTensorName(const std::string& field, std::string_view* name);
  absl::Status ParseShape(const std::string& field, GgufTensor* tensor, uint64_t* elements);
  absl::Status ParseTensorType(const std::string& field, uint64_t elements, GgufTensor* tensor);
  absl::Status ParseTensorOffset(const std::string& field, const GgufTensor& tensor);

  absl::Status FindDataSection();
  absl::Status CheckOverlaps();

  absl::Status ReadString(const std::string& field, std::string_view* text);
  template <typename T>
  absl::Status ReadNumber(const std::string& field, T* value);
  absl::Status Truncated(const std::string& field, uint64_t needed) const;

  absl::Span<const uint8_t> file_;
  ByteReader reader_;
  uint64_t tensor_count_ = 0;
  uint64_t entry_count_ = 0;
  uint64_t alignment_ = 32;
  std::vector<Extent> extents_;
  GgufContents contents_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_GGUF_GGUF_PARSER_H_
