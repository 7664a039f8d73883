// Mutants of one small whole model: every field of header, metadata and tensor table set to values
// that wrap, overrun or confuse, every bit pattern of a sampled byte, every interesting cut. Each
// must be refused with a message that names offset and field, or parse into something consistent.
// Run under AddressSanitizer and UBSan by scripts/test.sh --long.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "local_engine/gguf/gguf_file.h"
#include "local_engine/quant/formats.h"
#include "tests/testing/gguf_writer.h"
#include "tests/testing/tiny_model.h"

namespace nearfar {
namespace {

using testing::GgufField;
using testing::GgufFieldKind;
using ::testing::HasSubstr;

struct Original {
  std::vector<uint8_t> bytes;
  std::vector<GgufField> fields;
};

const Original& TheOriginal() {
  static const Original* original = [] {
    testing::TinyModelOptions options;
    options.weights = DType::kQ8_0;
    options.layers = 1;
    auto* made = new Original;
    made->bytes = testing::TinyModel(options).Finish(&made->fields);
    return made;
  }();
  return *original;
}

// Reads everything that a file offers, the way the engine would; a sanitizer watches.
uint64_t TouchAll(const GgufFile& file) {
  uint64_t sum = 0;
  for (const GgufEntry& entry : file.entries()) {
    sum += entry.key.size();
    for (uint64_t i = 0; i < entry.value.bytes; ++i) sum += entry.value.data[i];
    sum +=
        file.GetInt(entry.key).ok() + file.GetFloat(entry.key).ok() + file.GetBool(entry.key).ok();
    if (const auto text = file.GetString(entry.key); text.ok()) sum += text->size();
    if (const auto texts = file.GetStrings(entry.key); texts.ok()) {
      for (std::string_view text : *texts) sum += text.size();
    }
    if (const auto ints = file.GetInts(entry.key); ints.ok()) sum += ints->size();
  }
  for (const GgufTensor& tensor : file.tensors()) {
    const QuantFormat* format = FindFormat(tensor.dtype);
    EXPECT_NE(format, nullptr);
    EXPECT_EQ(tensor.bytes, format->RowBytes(tensor.columns()) * tensor.rows());
    std::vector<float> row(static_cast<size_t>(tensor.columns()));
    const int64_t row_bytes = format->RowBytes(tensor.columns());
    for (int64_t r = 0; r < tensor.rows(); ++r) {
      format->decode(tensor.data + r * row_bytes, row.data(), tensor.columns());
    }
    sum += tensor.data[tensor.bytes - 1];
  }
  return sum + file.Fingerprint().size();
}

// Counts what became of the mutants, and checks each.
class Mutants {
 public:
  void Try(const std::vector<uint8_t>& bytes, const std::string& what) {
    const std::string path = testing::WriteTestFile("gguf_mutant_test.gguf", bytes);
    const auto file = GgufFile::Open(path);
    std::remove(path.c_str());
    if (file.ok()) {
      ++accepted_;
      TouchAll(**file);
      return;
    }
    ++refused_;
    const std::string message(file.status().message());
    EXPECT_THAT(message, HasSubstr("offset 0x")) << what;
    EXPECT_THAT(message, ::testing::ContainsRegex("offset 0x[0-9a-f]+: [a-z][^:]*: ")) << what;
    EXPECT_TRUE(absl::IsInvalidArgument(file.status()) || absl::IsUnimplemented(file.status()))
        << what << ": " << file.status();
  }
  // What must be refused.
  void Refuse(const std::vector<uint8_t>& bytes, const std::string& what) {
    const int before = refused_;
    Try(bytes, what);
    EXPECT_EQ(refused_, before + 1) << what << " was accepted";
  }
  int refused() const { return refused_; }
  int total() const { return refused_ + accepted_; }

 private:
  int refused_ = 0;
  int accepted_ = 0;
};

std::vector<uint8_t> WithNumber(const GgufField& field, uint64_t value) {
  std::vector<uint8_t> bytes = TheOriginal().bytes;
  for (uint64_t i = 0; i < field.bytes; ++i) {
    bytes[field.offset + i] = static_cast<uint8_t>(value >> (8 * i));
  }
  return bytes;
}

uint64_t NumberAt(const GgufField& field) {
  uint64_t value = 0;
  for (uint64_t i = 0; i < field.bytes; ++i) {
    value |= static_cast<uint64_t>(TheOriginal().bytes[field.offset + i]) << (8 * i);
  }
  return value;
}

bool IsStructure(const GgufField& field) {
  return field.kind != GgufFieldKind::kText && field.kind != GgufFieldKind::kValue;
}

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

TEST(GgufMutantTest, TheOriginalIsFine) {
  Mutants mutants;
  mutants.Try(TheOriginal().bytes, "original");
  EXPECT_EQ(mutants.refused(), 0);
}

// Numbers that no file of this size can hold.
TEST(GgufMutantTest, NumbersThatCannotBeAreRefused) {
  Mutants mutants;
  for (const GgufField& field : TheOriginal().fields) {
    if (!IsStructure(field) || field.kind == GgufFieldKind::kMagic) continue;
    for (const uint64_t value : {kMax, kMax - 7, kMax / 2, kMax / 2 + 1, uint64_t{1} << 62,
                                 uint64_t{1} << 60, (uint64_t{1} << 42) + 1, uint64_t{1} << 31}) {
      if (field.bytes == 4 && static_cast<uint32_t>(value) < 100) continue;  // small once cut off
      mutants.Refuse(WithNumber(field, value), field.name + " = " + std::to_string(value));
    }
  }
  EXPECT_GE(mutants.total(), 200);
}

// Numbers that may well be, but not here: off by one, zero, doubled.
TEST(GgufMutantTest, SmallLiesAreRefusedOrHarmless) {
  Mutants mutants;
  for (const GgufField& field : TheOriginal().fields) {
    if (!IsStructure(field)) continue;
    const uint64_t honest = NumberAt(field);
    for (const uint64_t value : {uint64_t{0}, uint64_t{1}, honest - 1, honest + 1, honest * 2,
                                 honest + 32, honest ^ 0x80, uint64_t{255}}) {
      if (value == honest) continue;
      mutants.Try(WithNumber(field, value), field.name + " = " + std::to_string(value));
    }
  }
  EXPECT_GE(mutants.total(), 200);
  EXPECT_GE(mutants.refused(), 200);
}

TEST(GgufMutantTest, CutsInsideAnyFieldAreRefused) {
  Mutants mutants;
  const std::vector<uint8_t>& bytes = TheOriginal().bytes;
  for (const GgufField& field : TheOriginal().fields) {
    for (const uint64_t at : {field.offset, field.offset + 1, field.offset + field.bytes / 2,
                              field.offset + field.bytes - 1}) {
      if (at == 0) continue;  // an empty file is MappedFile's to refuse
      mutants.Refuse({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at)},
                     "cut at " + std::to_string(at) + " in " + field.name);
    }
  }
  for (const size_t missing : {1u, 4u, 32u, 1000u}) {
    mutants.Refuse({bytes.begin(), bytes.end() - static_cast<std::ptrdiff_t>(missing)},
                   "without its last bytes");
  }
  EXPECT_GE(mutants.total(), 200);
}

TEST(GgufMutantTest, FlippedBytesAreRefusedOrHarmless) {
  Mutants mutants;
  const GgufField& last = TheOriginal().fields.back();
  const uint64_t table_end = last.offset + last.bytes;
  for (uint64_t at = 0; at < table_end; at += 13) {
    for (const uint8_t mask : {0x01, 0x80, 0xff}) {
      std::vector<uint8_t> bytes = TheOriginal().bytes;
      bytes[at] ^= mask;
      mutants.Try(bytes, "byte " + std::to_string(at) + " ^ " + std::to_string(mask));
    }
  }
  EXPECT_GE(mutants.total(), 200);
}

}  // namespace
}  // namespace nearfar
