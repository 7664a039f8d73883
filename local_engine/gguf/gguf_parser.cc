// Reads a GGUF file as a hostile one: a count is compared with the bytes that are left before it is
// used, a product or sum is checked for wrapping, and what cannot be is refused with the offset and
// the field where it stands. Source: the GGUF specification, versions 2 and 3.
// Held by tests/local_engine/gguf/gguf_file_test.cc and gguf_mutant_test.cc.

#include "local_engine/gguf/gguf_parser.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "local_engine/base/utf8.h"
#include "local_engine/quant/formats.h"

namespace nearfar {
namespace {

constexpr uint64_t kMaxKeyBytes = 65535;    // by the specification
constexpr uint64_t kMaxNameBytes = 64;      // by the specification
constexpr uint32_t kMaxDimensions = 4;      // by the specification
constexpr uint64_t kLeastAlignment = 8;     // by the specification: a multiple of 8
constexpr uint64_t kMaxEntries = 65536;     // and tensors: real files have a few thousand
constexpr uint64_t kLeastEntryBytes = 14;   // key length, 1 byte of key, type, 1 byte of value
constexpr uint64_t kLeastTensorBytes = 25;  // name length, 1 byte of name, dimensions, type, offset
constexpr char kAlignmentKey[] = "general.alignment";
constexpr char kDamaged[] = " (file truncated or corrupt)";

std::string At(uint64_t offset, absl::string_view field) {
  return absl::StrFormat("offset 0x%x: %s: ", offset, field);
}

absl::Status Refuse(uint64_t offset, absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(At(offset, field), what));
}

absl::Status NotReadHere(uint64_t offset, absl::string_view field, absl::string_view what) {
  return absl::UnimplementedError(absl::StrCat(At(offset, field), what));
}

// Text of the file, made fit for a message: short and printable.
std::string Quoted(std::string_view text) {
  constexpr size_t kMost = 60;
  const bool cut = text.size() > kMost;
  const absl::string_view shown(text.data(), std::min(text.size(), kMost));
  return absl::StrCat("'", absl::CHexEscape(shown), cut ? "...'" : "'");
}

// Bytes of one value; 0 for strings and arrays, whose length stands in the file, and unknown types.
uint64_t FixedBytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return 0;
}

// Names of ggml's other tensor types, so that a refusal tells what the file would need.
const char* ForeignTypeName(uint32_t type) {
  switch (type) {
    case 9:
      return "Q8_1";
    case 10:
      return "Q2_K";
    case 11:
      return "Q3_K";
    case 15:
      return "Q8_K";
    case 16:
      return "IQ2_XXS";
    case 17:
      return "IQ2_XS";
    case 18:
      return "IQ3_XXS";
    case 19:
      return "IQ1_S";
    case 20:
      return "IQ4_NL";
    case 21:
      return "IQ3_S";
    case 22:
      return "IQ2_S";
    case 23:
      return "IQ4_XS";
    case 24:
      return "I8";
    case 25:
      return "I16";
    case 26:
      return "I32";
    case 27:
      return "I64";
    case 28:
      return "F64";
    case 29:
      return "IQ1_M";
    case 34:
      return "TQ1_0";
    case 35:
      return "TQ2_0";
    case 39:
      return "MXFP4";
    default:
      return nullptr;
  }
}

// "tensors[3]", and once the name is known "tensors[3] 'blk.0.attn_q.weight'".
std::string Indexed(const char* table, uint64_t index) {
  return absl::StrCat(table, "[", index, "]");
}

}  // namespace

absl::Status GgufParser::Truncated(const std::string& field, uint64_t needed) const {
  return Refuse(reader_.position(), field,
                absl::StrCat("needs ", needed, " bytes, the file has ", reader_.remaining(),
                             " left", kDamaged));
}

template <typename T>
absl::Status GgufParser::ReadNumber(const std::string& field, T* value) {
  if (!reader_.Read(value)) return Truncated(field, sizeof(T));
  return absl::OkStatus();
}

absl::Status GgufParser::ReadString(const std::string& field, std::string_view* text) {
  const uint64_t start = reader_.position();
  uint64_t length = 0;
  if (absl::Status s = ReadNumber(absl::StrCat(field, ".length"), &length); !s.ok()) return s;
  if (!reader_.ReadText(length, text)) {
    return Refuse(start, absl::StrCat(field, ".length"),
                  absl::StrCat(length, " bytes of text cannot fit in the ", reader_.remaining(),
                               " bytes left", kDamaged));
  }
  if (!IsValidUtf8(*text)) {
    return Refuse(start + sizeof(length), field, absl::StrCat("is not UTF-8", kDamaged));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ParseMagic() {
  std::string_view magic;
  if (!reader_.ReadText(4, &magic)) return Truncated("magic", 4);
  if (magic != "GGUF") {
    return Refuse(0, "magic",
                  absl::StrCat("is ", Quoted(magic), " and not 'GGUF' (not a GGUF file)"));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ParseVersion() {
  const uint64_t start = reader_.position();
  if (absl::Status s = ReadNumber("version", &contents_.version); !s.ok()) return s;
  const uint32_t version = contents_.version;
  if (version == 2 || version == 3) return absl::OkStatus();
  if (version != 0 && (version & 0xffff) == 0) {
    return NotReadHere(start, "version", "the file is big-endian (convert it to little-endian)");
  }
  return NotReadHere(start, "version",
                     absl::StrCat("GGUF version ", version,
                                  " is not read here, only 2 and 3 (convert the file again)"));
}

absl::Status GgufParser::ParseCount(const char* field, uint64_t least_entry_bytes,
                                    uint64_t* count) {
  const uint64_t start = reader_.position();
  if (absl::Status s = ReadNumber(field, count); !s.ok()) return s;
  const char* things = field == std::string_view("tensor_count") ? " tensors" : " entries";
  if (*count > reader_.remaining() / least_entry_bytes) {
    return Refuse(start, field,
                  absl::StrCat(*count, things, " cannot fit in the ", reader_.remaining(),
                               " bytes left", kDamaged));
  }
  // What is held for them is several times what the shortest ones take in the file.
  if (*count > kMaxEntries) {
    return Refuse(start, field,
                  absl::StrCat(*count, things, ", at most ", kMaxEntries, " are read", kDamaged));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ParseHeader() {
  if (absl::Status s = ParseMagic(); !s.ok()) return s;
  if (absl::Status s = ParseVersion(); !s.ok()) return s;
  if (absl::Status s = ParseCount("tensor_count", kLeastTensorBytes, &tensor_count_); !s.ok()) {
    return s;
  }
  return ParseCount("metadata_count", kLeastEntryBytes, &entry_count_);
}

absl::Status GgufParser::ParseKey(const std::string& field, std::string_view* key) {
  const uint64_t start = reader_.position();
  if (absl::Status s = ReadString(field, key); !s.ok()) return s;
  if (key->empty()) return Refuse(start, field, absl::StrCat("is empty", kDamaged));
  if (key->size() > kMaxKeyBytes) {
    return Refuse(
        start, field,
        absl::StrCat("has ", key->size(), " bytes, ", kMaxKeyBytes, " are allowed", kDamaged));
  }
  const int index = static_cast<int>(contents_.entries.size());
  if (!contents_.entry_index.emplace(*key, index).second) {
    return Refuse(start, field, absl::StrCat(Quoted(*key), " stands twice", kDamaged));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ParseValueType(const std::string& field, GgufType* type) {
  const uint64_t start = reader_.position();
  uint32_t number = 0;
  if (absl::Status s = ReadNumber(field, &number); !s.ok()) return s;
  if (number > static_cast<uint32_t>(GgufType::kFloat64)) {
    return Refuse(start, field, absl::StrCat("there is no value type ", number, kDamaged));
  }
  *type = static_cast<GgufType>(number);
  return absl::OkStatus();
}

absl::Status GgufParser::ParseArrayHead(const std::string& field, GgufValue* value) {
  const uint64_t type_start = reader_.position();
  const std::string type_field = absl::StrCat(field, ".element_type");
  if (absl::Status s = ParseValueType(type_field, &value->element_type); !s.ok()) return s;
  if (value->element_type == GgufType::kArray) {
    return NotReadHere(type_start, type_field, "arrays of arrays are not read here");
  }
  const uint64_t count_start = reader_.position();
  if (absl::Status s = ReadNumber(absl::StrCat(field, ".count"), &value->count); !s.ok()) return s;
  const uint64_t fixed = FixedBytes(value->element_type);
  const uint64_t least = fixed != 0 ? fixed : sizeof(uint64_t);  // a string's length
  if (value->count > reader_.remaining() / least) {
    return Refuse(
        count_start, absl::StrCat(field, ".count"),
        absl::StrCat(value->count, " elements of type ", GgufTypeName(value->element_type),
                     " cannot fit in the ", reader_.remaining(), " bytes left", kDamaged));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::CheckBools(const std::string& field, const GgufValue& value) {
  for (uint64_t i = 0; i < value.bytes; ++i) {
    if (value.data[i] <= 1) continue;
    return Refuse(value.offset + i, field,
                  absl::StrCat("a bool is 0 or 1, not ", value.data[i], kDamaged));
  }
  return absl::OkStatus();
}

// The elements of an array, or the one value of a scalar.
absl::Status GgufParser::ParseElements(const std::string& field, GgufValue* value) {
  const GgufType type = value->type == GgufType::kArray ? value->element_type : value->type;
  value->data = reader_.here();
  value->offset = reader_.position();
  if (type == GgufType::kString) {
    for (uint64_t i = 0; i < value->count; ++i) {
      std::string_view text;
      if (absl::Status s = ReadString(field, &text); !s.ok()) return s;
    }
    value->bytes = reader_.position() - value->offset;
    return absl::OkStatus();
  }
  // Cannot wrap: an array's count was bounded by the bytes left.
  value->bytes = value->count * FixedBytes(type);
  if (!reader_.Skip(value->bytes)) return Truncated(field, value->bytes);
  return type == GgufType::kBool ? CheckBools(field, *value) : absl::OkStatus();
}

absl::Status GgufParser::ParsePayload(const std::string& field, GgufValue* value) {
  value->count = 1;
  value->element_type = value->type;
  if (value->type == GgufType::kArray) {
    if (absl::Status s = ParseArrayHead(field, value); !s.ok()) return s;
  }
  return ParseElements(field, value);
}

absl::Status GgufParser::ParseEntry(uint64_t index) {
  const std::string place = Indexed("metadata", index);
  GgufEntry entry;
  if (absl::Status s = ParseKey(absl::StrCat(place, ".key"), &entry.key); !s.ok()) return s;
  const std::string field = absl::StrCat(place, " ", Quoted(entry.key));
  if (absl::Status s = ParseValueType(absl::StrCat(field, ".type"), &entry.value.type); !s.ok()) {
    return s;
  }
  if (absl::Status s = ParsePayload(absl::StrCat(field, ".value"), &entry.value); !s.ok()) return s;
  contents_.entries.push_back(entry);
  return absl::OkStatus();
}

absl::Status GgufParser::FindAlignment() {
  const auto found = contents_.entry_index.find(kAlignmentKey);
  if (found == contents_.entry_index.end()) return absl::OkStatus();
  const GgufValue& value = contents_.entries[static_cast<size_t>(found->second)].value;
  if (value.type != GgufType::kUint32) {
    return Refuse(
        value.offset, kAlignmentKey,
        absl::StrCat("is of type ", GgufTypeName(value.type), " and not uint32", kDamaged));
  }
  alignment_ = LoadLittleEndian<uint32_t>(value.data);
  if (alignment_ < kLeastAlignment || (alignment_ & (alignment_ - 1)) != 0) {
    return Refuse(
        value.offset, kAlignmentKey,
        absl::StrCat(alignment_, " is not a power of two from ", kLeastAlignment, " on", kDamaged));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ParseTensorName(const std::string& field, std::string_view* name) {
  const uint64_t start = reader_.position();
  if (absl::Status s = ReadString(field, name); !s.ok()) return s;
  if (name->empty() || name->size() > kMaxNameBytes) {
    return Refuse(start, field,
                  absl::StrCat("has ", name->size(), " bytes, 1 to ", kMaxNameBytes, " are allowed",
                               kDamaged));
  }
  const int index = static_cast<int>(contents_.tensors.size());
  if (!contents_.tensor_index.emplace(*name, index).second) {
    return Refuse(start, field, absl::StrCat(Quoted(*name), " stands twice", kDamaged));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ParseShape(const std::string& field, GgufTensor* tensor,
                                    uint64_t* elements) {
  const uint64_t start = reader_.position();
  uint32_t dimensions = 0;
  if (absl::Status s = ReadNumber(absl::StrCat(field, ".n_dims"), &dimensions); !s.ok()) return s;
  if (dimensions > kMaxDimensions) {
    return Refuse(start, absl::StrCat(field, ".n_dims"),
                  absl::StrCat(dimensions, " dimensions, at most ", kMaxDimensions, " are allowed",
                               kDamaged));
  }
  *elements = 1;
  for (uint32_t d = 0; d < dimensions; ++d) {
    const std::string dim_field = absl::StrCat(field, ".dims[", d, "]");
    const uint64_t dim_start = reader_.position();
    uint64_t extent = 0;
    if (absl::Status s = ReadNumber(dim_field, &extent); !s.ok()) return s;
    if (extent == 0) return Refuse(dim_start, dim_field, absl::StrCat("is 0", kDamaged));
    if (!CheckedMul(*elements, extent, elements) ||
        *elements > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Refuse(dim_start, dim_field,
                    absl::StrCat(extent, ": the number of elements overflows", kDamaged));
    }
    tensor->shape.push_back(static_cast<int64_t>(extent));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ParseTensorType(const std::string& field, uint64_t elements,
                                         GgufTensor* tensor) {
  const uint64_t start = reader_.position();
  const std::string type_field = absl::StrCat(field, ".type");
  uint32_t number = 0;
  if (absl::Status s = ReadNumber(type_field, &number); !s.ok()) return s;
  tensor->dtype = static_cast<DType>(number);
  const QuantFormat* format = FindFormat(tensor->dtype);
  if (format == nullptr) {
    const char* name = ForeignTypeName(number);
    return NotReadHere(start, type_field,
                       absl::StrCat("tensor type ", number, name != nullptr ? " (" : "",
                                    name != nullptr ? name : "", name != nullptr ? ")" : "",
                                    " is not read here (use a file in Q4_K_M, Q8_0 or F16)"));
  }
  if (tensor->columns() % format->block_elements != 0) {
    return Refuse(
        start, type_field,
        absl::StrCat("a row of ", tensor->columns(), " elements is not a whole number of ",
                     format->name, " blocks of ", format->block_elements, kDamaged));
  }
  uint64_t bytes = 0;
  const uint64_t blocks = elements / static_cast<uint64_t>(format->block_elements);
  if (!CheckedMul(blocks, static_cast<uint64_t>(format->block_bytes), &bytes) ||
      bytes > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return Refuse(start, type_field, absl::StrCat("the tensor's size overflows", kDamaged));
  }
  tensor->bytes = static_cast<int64_t>(bytes);
  return absl::OkStatus();
}

absl::Status GgufParser::ParseTensorOffset(const std::string& field, const GgufTensor& tensor) {
  const uint64_t start = reader_.position();
  const std::string offset_field = absl::StrCat(field, ".offset");
  uint64_t offset = 0;
  if (absl::Status s = ReadNumber(offset_field, &offset); !s.ok()) return s;
  if (offset % alignment_ != 0) {
    return Refuse(
        start, offset_field,
        absl::StrCat(offset, " is not a multiple of the alignment ", alignment_, kDamaged));
  }
  extents_.push_back({.offset = offset,
                      .bytes = static_cast<uint64_t>(tensor.bytes),
                      .field_offset = start,
                      .tensor = static_cast<int>(contents_.tensors.size())});
  return absl::OkStatus();
}

absl::Status GgufParser::ParseTensor(uint64_t index) {
  const std::string place = Indexed("tensors", index);
  GgufTensor tensor;
  if (absl::Status s = ParseTensorName(absl::StrCat(place, ".name"), &tensor.name); !s.ok()) {
    return s;
  }
  const std::string field = absl::StrCat(place, " ", Quoted(tensor.name));
  uint64_t elements = 0;
  if (absl::Status s = ParseShape(field, &tensor, &elements); !s.ok()) return s;
  if (absl::Status s = ParseTensorType(field, elements, &tensor); !s.ok()) return s;
  if (absl::Status s = ParseTensorOffset(field, tensor); !s.ok()) return s;
  contents_.tensors.push_back(std::move(tensor));
  return absl::OkStatus();
}

// Places the data section behind the tensor table and every tensor inside it.
absl::Status GgufParser::FindDataSection() {
  // Cannot wrap: a position in memory plus an alignment of 32 bits.
  const uint64_t data_start = (reader_.position() + alignment_ - 1) & ~(alignment_ - 1);
  if (contents_.tensors.empty()) {
    contents_.data_offset = static_cast<int64_t>(reader_.position());
    return absl::OkStatus();
  }
  if (data_start > file_.size()) {
    return Truncated("padding before the tensor data", data_start - reader_.position());
  }
  contents_.data_offset = static_cast<int64_t>(data_start);
  const uint64_t data_bytes = file_.size() - data_start;
  for (const Extent& extent : extents_) {
    GgufTensor& tensor = contents_.tensors[static_cast<size_t>(extent.tensor)];
    if (extent.offset > data_bytes || extent.bytes > data_bytes - extent.offset) {
      return Refuse(
          extent.field_offset,
          absl::StrCat(Indexed("tensors", static_cast<uint64_t>(extent.tensor)), " ",
                       Quoted(tensor.name), ".offset"),
          absl::StrCat(extent.bytes, " bytes at ", extent.offset, " do not lie within the ",
                       data_bytes, " bytes of tensor data", kDamaged));
    }
    tensor.data = file_.data() + data_start + extent.offset;
  }
  return CheckOverlaps();
}

absl::Status GgufParser::CheckOverlaps() {
  std::sort(extents_.begin(), extents_.end(),
            [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  for (size_t i = 1; i < extents_.size(); ++i) {
    const Extent& before = extents_[i - 1];
    const Extent& after = extents_[i];
    if (after.offset - before.offset >= before.bytes) continue;
    const auto name = [this](const Extent& extent) {
      return Quoted(contents_.tensors[static_cast<size_t>(extent.tensor)].name);
    };
    return Refuse(after.field_offset,
                  absl::StrCat(Indexed("tensors", static_cast<uint64_t>(after.tensor)), " ",
                               name(after), ".offset"),
                  absl::StrCat(after.offset, " lies inside the data of ", name(before), kDamaged));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::Parse(GgufContents* contents) {
  if (absl::Status s = ParseHeader(); !s.ok()) return s;
  for (uint64_t i = 0; i < entry_count_; ++i) {
    if (absl::Status s = ParseEntry(i); !s.ok()) return s;
  }
  if (absl::Status s = FindAlignment(); !s.ok()) return s;
  for (uint64_t i = 0; i < tensor_count_; ++i) {
    if (absl::Status s = ParseTensor(i); !s.ok()) return s;
  }
  if (absl::Status s = FindDataSection(); !s.ok()) return s;
  *contents = std::move(contents_);
  return absl::OkStatus();
}

}  // namespace nearfar
