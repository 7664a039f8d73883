// Opening, typed reads and the fingerprint; the checking is gguf_parser.cc.
// Held by tests/local_engine/gguf/gguf_file_test.cc.

#include "local_engine/gguf/gguf_file.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "local_engine/base/bytes.h"
#include "local_engine/base/sha256.h"
#include "local_engine/gguf/gguf_parser.h"

namespace nearfar {
namespace {

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

// "array of string", "uint32".
std::string Describe(const GgufValue& value) {
  if (value.type != GgufType::kArray) return GgufTypeName(value.type);
  return absl::StrCat("array of ", GgufTypeName(value.element_type));
}

absl::Status WrongType(std::string_view key, const GgufValue& value, absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrFormat("offset 0x%x: %s: is of type %s and not %s",
                                                    value.offset, Absl(key), Describe(value),
                                                    wanted));
}

absl::StatusOr<const GgufValue*> Require(const GgufFile& file, std::string_view key) {
  const GgufValue* value = file.Find(key);
  if (value != nullptr) return value;
  return absl::NotFoundError(absl::StrCat(
      "metadata key ", Absl(key), " is missing (the file is incomplete or of another kind)"));
}

absl::StatusOr<const GgufValue*> RequireArray(const GgufFile& file, std::string_view key,
                                              absl::string_view wanted) {
  const absl::StatusOr<const GgufValue*> value = Require(file, key);
  if (value.ok() && (*value)->type != GgufType::kArray) return WrongType(key, **value, wanted);
  return value;
}

// The integer at `data`; nullopt if `type` is no integer or the number does not fit.
std::optional<int64_t> LoadInteger(GgufType type, const uint8_t* data) {
  switch (type) {
    case GgufType::kUint8:
      return LoadLittleEndian<uint8_t>(data);
    case GgufType::kInt8:
      return LoadLittleEndian<int8_t>(data);
    case GgufType::kUint16:
      return LoadLittleEndian<uint16_t>(data);
    case GgufType::kInt16:
      return LoadLittleEndian<int16_t>(data);
    case GgufType::kUint32:
      return LoadLittleEndian<uint32_t>(data);
    case GgufType::kInt32:
      return LoadLittleEndian<int32_t>(data);
    case GgufType::kInt64:
      return LoadLittleEndian<int64_t>(data);
    case GgufType::kUint64: {
      const uint64_t wide = LoadLittleEndian<uint64_t>(data);
      if (wide > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(wide);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> LoadFloat(GgufType type, const uint8_t* data) {
  if (type == GgufType::kFloat32) return LoadLittleEndian<float>(data);
  if (type == GgufType::kFloat64) return LoadLittleEndian<double>(data);
  return std::nullopt;
}

}  // namespace

int64_t GgufTensor::rows() const {
  int64_t rows = 1;
  for (size_t d = 1; d < shape.size(); ++d) rows *= shape[d];
  return rows;
}

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::Open(const std::string& path) {
  absl::StatusOr<std::unique_ptr<MappedFile>> file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  return Parse(*std::move(file));
}

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::Parse(std::unique_ptr<MappedFile> file) {
  GgufContents contents;
  if (absl::Status s = GgufParser(file->bytes()).Parse(&contents); !s.ok()) {
    return absl::Status(s.code(), absl::StrCat(file->path(), ": ", s.message()));
  }
  std::unique_ptr<GgufFile> parsed(new GgufFile());
  parsed->file_ = std::move(file);
  parsed->version_ = contents.version;
  parsed->data_offset_ = contents.data_offset;
  parsed->entries_ = std::move(contents.entries);
  parsed->tensors_ = std::move(contents.tensors);
  parsed->entry_index_ = std::move(contents.entry_index);
  parsed->tensor_index_ = std::move(contents.tensor_index);
  return parsed;
}

const GgufTensor* GgufFile::FindTensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[static_cast<size_t>(found->second)];
}

const GgufValue* GgufFile::Find(std::string_view key) const {
  const auto found = entry_index_.find(key);
  return found == entry_index_.end() ? nullptr
                                     : &entries_[static_cast<size_t>(found->second)].value;
}

absl::StatusOr<int64_t> GgufFile::GetInt(std::string_view key) const {
  const absl::StatusOr<const GgufValue*> value = Require(*this, key);
  if (!value.ok()) return value.status();
  const std::optional<int64_t> number = LoadInteger((*value)->type, (*value)->data);
  if (!number.has_value()) return WrongType(key, **value, "an integer below 2^63");
  return *number;
}

absl::StatusOr<double> GgufFile::GetFloat(std::string_view key) const {
  const absl::StatusOr<const GgufValue*> value = Require(*this, key);
  if (!value.ok()) return value.status();
  const std::optional<double> number = LoadFloat((*value)->type, (*value)->data);
  if (!number.has_value()) return WrongType(key, **value, "a float");
  return *number;
}

absl::StatusOr<bool> GgufFile::GetBool(std::string_view key) const {
  const absl::StatusOr<const GgufValue*> value = Require(*this, key);
  if (!value.ok()) return value.status();
  if ((*value)->type != GgufType::kBool) return WrongType(key, **value, "bool");
  return *(*value)->data != 0;
}

absl::StatusOr<std::string_view> GgufFile::GetString(std::string_view key) const {
  const absl::StatusOr<const GgufValue*> value = Require(*this, key);
  if (!value.ok()) return value.status();
  if ((*value)->type != GgufType::kString) return WrongType(key, **value, "string");
  // The length that was checked, not the one that stands in the file by now.
  return std::string_view(reinterpret_cast<const char*>((*value)->data) + sizeof(uint64_t),
                          (*value)->bytes - sizeof(uint64_t));
}

absl::StatusOr<std::vector<std::string_view>> GgufFile::GetStrings(std::string_view key) const {
  constexpr char kWanted[] = "array of string";
  const absl::StatusOr<const GgufValue*> value = RequireArray(*this, key, kWanted);
  if (!value.ok()) return value.status();
  if ((*value)->element_type != GgufType::kString) return WrongType(key, **value, kWanted);
  std::vector<std::string_view> strings((*value)->count);
  ByteReader reader({(*value)->data, (*value)->bytes});
  for (std::string_view& text : strings) {
    // Was true when the file was parsed.
    uint64_t length = 0;
    if (reader.Read(&length) && reader.ReadText(length, &text)) continue;
    return absl::UnavailableError(
        absl::StrCat(Absl(key), ": the file was changed while it was read (open it again)"));
  }
  return strings;
}

absl::StatusOr<std::vector<int64_t>> GgufFile::GetInts(std::string_view key) const {
  constexpr char kWanted[] = "array of integers below 2^63";
  const absl::StatusOr<const GgufValue*> value = RequireArray(*this, key, kWanted);
  if (!value.ok()) return value.status();
  std::vector<int64_t> numbers((*value)->count);
  const uint8_t* next = (*value)->data;
  for (int64_t& number : numbers) {
    const std::optional<int64_t> loaded = LoadInteger((*value)->element_type, next);
    if (!loaded.has_value()) return WrongType(key, **value, kWanted);
    number = *loaded;
    next += (*value)->bytes / (*value)->count;
  }
  return numbers;
}

std::string GgufFile::Fingerprint() const {
  constexpr uint64_t kSamples = 64;
  constexpr uint64_t kSampleBytes = 4096;
  const absl::Span<const uint8_t> bytes = file_->bytes();
  const uint64_t start = static_cast<uint64_t>(data_offset_);
  const uint64_t data_bytes = bytes.size() - start;
  Sha256 digest;
  digest.Update(bytes.subspan(0, start));
  const uint64_t span = data_bytes > kSampleBytes ? data_bytes - kSampleBytes : 0;
  for (uint64_t i = 0; i < kSamples; ++i) {
    // From the first block to the last; span * i cannot wrap for any file that can be mapped.
    digest.Update(bytes.subspan(start + span * i / (kSamples - 1), kSampleBytes));
  }
  const uint64_t size = bytes.size();
  digest.Update(absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(&size), sizeof(size)));
  return digest.FinishHex();
}

}  // namespace nearfar
