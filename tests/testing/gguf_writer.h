// Builds GGUF files in memory, honest ones and (through raw fields) lying ones, for tests.
//
//   GgufWriter writer;
//   writer.AddString("general.architecture", "llama");
//   writer.AddTensor("output_norm.weight", {64}, DType::kF32, values);
//   std::vector<uint8_t> file = writer.Finish();

#ifndef NEARFAR_TESTS_TESTING_GGUF_WRITER_H_
#define NEARFAR_TESTS_TESTING_GGUF_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "local_engine/gguf/gguf_value.h"
#include "local_engine/quant/dtype.h"

namespace nearfar::testing {

// What a field of the file is; a mutation of it must be noticed for that reason.
enum class GgufFieldKind {
  kMagic,
  kVersion,
  kCount,       // of tensors, entries, array elements
  kLength,      // of a string
  kType,        // of a value, an array's elements, a tensor
  kDimensions,  // how many a tensor has
  kExtent,      // one of them
  kOffset,      // of a tensor's data
  kText,        // a key's or a name's bytes
  kValue,       // any other payload
};

// Where a field stands in a finished file.
struct GgufField {
  GgufFieldKind kind;
  uint64_t offset;
  uint64_t bytes;
  std::string name;  // for a test's messages
};

class GgufWriter {
 public:
  explicit GgufWriter(uint32_t version = 3) : version_(version) {}

  void AddUint32(std::string_view key, uint32_t value);
  void AddInt32(std::string_view key, int32_t value);
  void AddUint64(std::string_view key, uint64_t value);
  void AddFloat32(std::string_view key, float value);
  void AddFloat64(std::string_view key, double value);
  void AddBool(std::string_view key, bool value);
  void AddString(std::string_view key, std::string_view value);
  void AddStrings(std::string_view key, absl::Span<const std::string> values);
  void AddInt32s(std::string_view key, absl::Span<const int32_t> values);
  void AddFloat32s(std::string_view key, absl::Span<const float> values);
  // Any type, payload as it shall stand in the file (an array's: element type, count, elements).
  void AddRaw(std::string_view key, uint32_t type, absl::Span<const uint8_t> payload);

  // Takes out the entry or the tensor of that name; false if there is none. Add it anew to change
  // it.
  bool Remove(std::string_view name);

  // Sets general.alignment too. A power of two.
  void SetAlignment(uint32_t alignment);

  // Encodes values, in the order of the shape (shape[0] contiguous).
  void AddTensor(std::string_view name, std::vector<uint64_t> shape, DType dtype,
                 absl::Span<const float> values);
  // Data as it shall stand in the file.
  void AddTensorBytes(std::string_view name, std::vector<uint64_t> shape, uint32_t dtype,
                      std::vector<uint8_t> data);

  // The file. If `fields` is given it gets every field of header, metadata and tensor table.
  std::vector<uint8_t> Finish(std::vector<GgufField>* fields = nullptr) const;

 private:
  struct Entry {
    std::string key;
    uint32_t type;
    std::vector<uint8_t> payload;
  };
  struct Tensor {
    std::string name;
    std::vector<uint64_t> shape;
    uint32_t dtype;
    std::vector<uint8_t> data;
  };
  class Sink;

  void WriteEntry(const Entry& entry, Sink* sink) const;
  void WritePayload(const Entry& entry, Sink* sink) const;

  uint32_t version_;
  uint32_t alignment_ = 32;
  std::vector<Entry> entries_;
  std::vector<Tensor> tensors_;
};

// Writes bytes to a new file in the test's temporary folder and returns its path; fails the test if
// it cannot. The same name is overwritten.
std::string WriteTestFile(const std::string& name, absl::Span<const uint8_t> bytes);

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_GGUF_WRITER_H_
