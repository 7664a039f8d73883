// The writer behind the GGUF tests. Held by tests/local_engine/gguf/gguf_file_test.cc, which reads
// back what it writes.

#include "tests/testing/gguf_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "local_engine/base/bytes.h"
#include "local_engine/quant/formats.h"

namespace nearfar::testing {
namespace {

template <typename T>
std::vector<uint8_t> BytesOf(const T& value) {
  std::vector<uint8_t> bytes(sizeof(T));
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

template <typename T>
void Append(std::vector<uint8_t>* to, const T& value) {
  const std::vector<uint8_t> bytes = BytesOf(value);
  to->insert(to->end(), bytes.begin(), bytes.end());
}

void AppendText(std::vector<uint8_t>* to, std::string_view text) {
  Append<uint64_t>(to, text.size());
  to->insert(to->end(), text.begin(), text.end());
}

std::vector<uint8_t> ArrayHead(GgufType element_type, size_t count) {
  std::vector<uint8_t> payload;
  Append(&payload, static_cast<uint32_t>(element_type));
  Append<uint64_t>(&payload, count);
  return payload;
}

template <typename T>
std::vector<uint8_t> NumberArray(GgufType element_type, absl::Span<const T> values) {
  std::vector<uint8_t> payload = ArrayHead(element_type, values.size());
  for (const T& value : values) Append(&payload, value);
  return payload;
}

}  // namespace

// The growing file, and the fields in it.
class GgufWriter::Sink {
 public:
  explicit Sink(std::vector<GgufField>* fields) : fields_(fields) {}

  template <typename T>
  void Number(GgufFieldKind kind, const std::string& name, T value) {
    Note(kind, sizeof(T), name);
    Append(&bytes_, value);
  }
  void Bytes(GgufFieldKind kind, const std::string& name, absl::Span<const uint8_t> bytes) {
    Note(kind, bytes.size(), name);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void Text(const std::string& name, std::string_view text) {
    Number<uint64_t>(GgufFieldKind::kLength, name + ".length", text.size());
    Bytes(GgufFieldKind::kText, name,
          absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  }
  void Pad(uint32_t alignment) {
    while (bytes_.size() % alignment != 0) bytes_.push_back(0);
  }
  void Data(absl::Span<const uint8_t> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::vector<uint8_t> Take() { return std::move(bytes_); }

 private:
  void Note(GgufFieldKind kind, uint64_t bytes, const std::string& name) {
    if (fields_ != nullptr) fields_->push_back({kind, bytes_.size(), bytes, name});
  }

  std::vector<uint8_t> bytes_;
  std::vector<GgufField>* fields_;
};

void GgufWriter::AddRaw(std::string_view key, uint32_t type, absl::Span<const uint8_t> payload) {
  entries_.push_back({std::string(key), type, {payload.begin(), payload.end()}});
}

void GgufWriter::AddUint32(std::string_view key, uint32_t value) {
  AddRaw(key, static_cast<uint32_t>(GgufType::kUint32), BytesOf(value));
}
void GgufWriter::AddInt32(std::string_view key, int32_t value) {
  AddRaw(key, static_cast<uint32_t>(GgufType::kInt32), BytesOf(value));
}
void GgufWriter::AddUint64(std::string_view key, uint64_t value) {
  AddRaw(key, static_cast<uint32_t>(GgufType::kUint64), BytesOf(value));
}
void GgufWriter::AddFloat32(std::string_view key, float value) {
  AddRaw(key, static_cast<uint32_t>(GgufType::kFloat32), BytesOf(value));
}
void GgufWriter::AddFloat64(std::string_view key, double value) {
  AddRaw(key, static_cast<uint32_t>(GgufType::kFloat64), BytesOf(value));
}
void GgufWriter::AddBool(std::string_view key, bool value) {
  AddRaw(key, static_cast<uint32_t>(GgufType::kBool), {static_cast<uint8_t>(value)});
}
void GgufWriter::AddString(std::string_view key, std::string_view value) {
  std::vector<uint8_t> payload;
  AppendText(&payload, value);
  AddRaw(key, static_cast<uint32_t>(GgufType::kString), payload);
}
void GgufWriter::AddStrings(std::string_view key, absl::Span<const std::string> values) {
  std::vector<uint8_t> payload = ArrayHead(GgufType::kString, values.size());
  for (const std::string& value : values) AppendText(&payload, value);
  AddRaw(key, static_cast<uint32_t>(GgufType::kArray), payload);
}
void GgufWriter::AddInt32s(std::string_view key, absl::Span<const int32_t> values) {
  AddRaw(key, static_cast<uint32_t>(GgufType::kArray), NumberArray(GgufType::kInt32, values));
}
void GgufWriter::AddFloat32s(std::string_view key, absl::Span<const float> values) {
  AddRaw(key, static_cast<uint32_t>(GgufType::kArray), NumberArray(GgufType::kFloat32, values));
}

bool GgufWriter::Remove(std::string_view name) {
  const size_t entries = std::erase_if(entries_, [&](const Entry& e) { return e.key == name; });
  const size_t tensors = std::erase_if(tensors_, [&](const Tensor& t) { return t.name == name; });
  return entries + tensors > 0;
}

void GgufWriter::SetAlignment(uint32_t alignment) {
  alignment_ = alignment;
  AddUint32("general.alignment", alignment);
}

void GgufWriter::AddTensor(std::string_view name, std::vector<uint64_t> shape, DType dtype,
                           absl::Span<const float> values) {
  const QuantFormat* format = FindFormat(dtype);
  std::vector<uint8_t> data(
      static_cast<size_t>(format->RowBytes(static_cast<int64_t>(values.size()))));
  format->encode(values.data(), data.data(), static_cast<int64_t>(values.size()));
  AddTensorBytes(name, std::move(shape), static_cast<uint32_t>(dtype), std::move(data));
}

void GgufWriter::AddTensorBytes(std::string_view name, std::vector<uint64_t> shape, uint32_t dtype,
                                std::vector<uint8_t> data) {
  tensors_.push_back({std::string(name), std::move(shape), dtype, std::move(data)});
}

void GgufWriter::WritePayload(const Entry& entry, Sink* sink) const {
  absl::Span<const uint8_t> payload = entry.payload;
  if (entry.type == static_cast<uint32_t>(GgufType::kArray) && payload.size() >= 12) {
    const uint32_t element_type = LoadLittleEndian<uint32_t>(payload.data());
    sink->Number(GgufFieldKind::kType, entry.key + ".element_type", element_type);
    sink->Number(GgufFieldKind::kCount, entry.key + ".count",
                 LoadLittleEndian<uint64_t>(payload.data() + 4));
    payload.remove_prefix(12);
    if (element_type == static_cast<uint32_t>(GgufType::kString) && payload.size() >= 8) {
      sink->Number(GgufFieldKind::kLength, entry.key + "[0].length",
                   LoadLittleEndian<uint64_t>(payload.data()));
      payload.remove_prefix(8);
    }
  } else if (entry.type == static_cast<uint32_t>(GgufType::kString) && payload.size() >= 8) {
    sink->Number(GgufFieldKind::kLength, entry.key + ".length",
                 LoadLittleEndian<uint64_t>(payload.data()));
    payload.remove_prefix(8);
  }
  sink->Bytes(GgufFieldKind::kValue, entry.key, payload);
}

void GgufWriter::WriteEntry(const Entry& entry, Sink* sink) const {
  sink->Text("key of " + entry.key, entry.key);
  sink->Number(GgufFieldKind::kType, entry.key + ".type", entry.type);
  WritePayload(entry, sink);
}

std::vector<uint8_t> GgufWriter::Finish(std::vector<GgufField>* fields) const {
  Sink sink(fields);
  sink.Bytes(GgufFieldKind::kMagic, "magic", {'G', 'G', 'U', 'F'});
  sink.Number(GgufFieldKind::kVersion, "version", version_);
  sink.Number<uint64_t>(GgufFieldKind::kCount, "tensor_count", tensors_.size());
  sink.Number<uint64_t>(GgufFieldKind::kCount, "metadata_count", entries_.size());
  for (const Entry& entry : entries_) WriteEntry(entry, &sink);
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    sink.Text("name of " + tensor.name, tensor.name);
    sink.Number(GgufFieldKind::kDimensions, tensor.name + ".n_dims",
                static_cast<uint32_t>(tensor.shape.size()));
    for (uint64_t extent : tensor.shape) {
      sink.Number(GgufFieldKind::kExtent, tensor.name + ".dims", extent);
    }
    sink.Number(GgufFieldKind::kType, tensor.name + ".type", tensor.dtype);
    sink.Number(GgufFieldKind::kOffset, tensor.name + ".offset", offset);
    offset += (tensor.data.size() + alignment_ - 1) / alignment_ * alignment_;
  }
  for (const Tensor& tensor : tensors_) {
    sink.Pad(alignment_);
    sink.Data(tensor.data);
  }
  return sink.Take();
}

std::string WriteTestFile(const std::string& name, absl::Span<const uint8_t> bytes) {
  // The process number keeps test programs that run side by side apart.
  const std::string path =
      ::testing::TempDir() + "nearfar_" + std::to_string(getpid()) + "_" + name;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  EXPECT_TRUE(file.good()) << "cannot write " << path;
  return path;
}

}  // namespace nearfar::testing
