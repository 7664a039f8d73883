// local_engine/gguf/: what an honest file gives, and one case for each way in which a file can lie.
// The classes follow the published advisories against other readers of this format. The mutants of
// a whole model are in gguf_mutant_test.cc.

#include "local_engine/gguf/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "local_engine/base/bytes.h"
#include "local_engine/quant/formats.h"
#include "tests/testing/gguf_writer.h"
#include "tests/testing/tiny_model.h"

namespace nearfar {
namespace {

using ::testing::ElementsAre;
using testing::GgufField;
using testing::GgufFieldKind;
using testing::GgufWriter;
using ::testing::HasSubstr;

absl::StatusOr<std::unique_ptr<GgufFile>> OpenBytes(const std::vector<uint8_t>& bytes) {
  const std::string path = testing::WriteTestFile("gguf_file_test.gguf", bytes);
  auto file = GgufFile::Open(path);
  std::remove(path.c_str());
  return file;
}

absl::StatusOr<std::unique_ptr<GgufFile>> OpenWriter(const GgufWriter& writer) {
  return OpenBytes(writer.Finish());
}

std::string Refusal(const std::vector<uint8_t>& bytes) {
  const auto file = OpenBytes(bytes);
  return file.ok() ? "accepted" : std::string(file.status().message());
}

std::vector<uint8_t> Bytes(const std::vector<uint64_t>& words) {
  std::vector<uint8_t> bytes;
  for (uint64_t word : words) {
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<uint8_t>(word >> (8 * i)));
  }
  return bytes;
}

// A file with one entry and two small tensors; its fields by name.
struct Sample {
  std::vector<uint8_t> bytes;
  std::vector<GgufField> fields;

  const GgufField& Field(const std::string& name) const {
    for (const GgufField& field : fields) {
      if (field.name == name) return field;
    }
    ADD_FAILURE() << "no field " << name;
    return fields.front();
  }
  // The file with this little-endian number in the field's place.
  std::vector<uint8_t> With(const std::string& name, uint64_t value) const {
    std::vector<uint8_t> changed = bytes;
    const GgufField& field = Field(name);
    for (uint64_t i = 0; i < field.bytes; ++i) {
      changed[field.offset + i] = static_cast<uint8_t>(value >> (8 * i));
    }
    return changed;
  }
};

Sample MakeSample() {
  GgufWriter writer;
  writer.SetAlignment(64);
  writer.AddString("general.name", "sample");
  writer.AddTensor("first", {32, 2}, DType::kQ8_0, std::vector<float>(64, 0.5f));
  writer.AddTensor("second", {4}, DType::kF32, {1, 2, 3, 4});
  Sample sample;
  sample.bytes = writer.Finish(&sample.fields);
  return sample;
}

TEST(GgufFileTest, ReadsBackWhatWasWritten) {
  GgufWriter writer;
  writer.AddUint32("u32", 7);
  writer.AddInt32("i32", -7);
  writer.AddUint64("u64", uint64_t{1} << 40);
  writer.AddFloat32("f32", 0.5f);
  writer.AddFloat64("f64", 0.25);
  writer.AddBool("yes", true);
  writer.AddString("text", "h\xc3\xa9");
  writer.AddStrings("texts", {"a", "", "ccc"});
  writer.AddInt32s("ints", {-1, 2, 3});
  writer.AddFloat32s("floats", {1.5f, -2.5f});
  writer.AddTensor("matrix", {32, 3}, DType::kQ8_0, std::vector<float>(96, 1.0f));
  writer.AddTensor("vector", {5}, DType::kF32, {1, 2, 3, 4, 5});
  const auto opened = OpenWriter(writer);
  ASSERT_TRUE(opened.ok()) << opened.status();
  const GgufFile& file = **opened;

  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(*file.GetInt("u32"), 7);
  EXPECT_EQ(*file.GetInt("i32"), -7);
  EXPECT_EQ(*file.GetInt("u64"), int64_t{1} << 40);
  EXPECT_EQ(*file.GetFloat("f32"), 0.5);
  EXPECT_EQ(*file.GetFloat("f64"), 0.25);
  EXPECT_TRUE(*file.GetBool("yes"));
  EXPECT_EQ(*file.GetString("text"), "h\xc3\xa9");
  EXPECT_THAT(*file.GetStrings("texts"), ElementsAre("a", "", "ccc"));
  EXPECT_THAT(*file.GetInts("ints"), ElementsAre(-1, 2, 3));
  EXPECT_EQ(file.entries().size(), 10u);
  EXPECT_EQ(file.entries()[6].key, "text") << "entries stand in file order";

  const GgufTensor* matrix = file.FindTensor("matrix");
  ASSERT_NE(matrix, nullptr);
  EXPECT_THAT(matrix->shape, ElementsAre(32, 3));
  EXPECT_EQ(matrix->columns(), 32);
  EXPECT_EQ(matrix->rows(), 3);
  EXPECT_EQ(matrix->bytes, 3 * 34);
  const GgufTensor* vector = file.FindTensor("vector");
  ASSERT_NE(vector, nullptr);
  EXPECT_EQ(vector->rows(), 1);
  EXPECT_EQ(LoadLittleEndian<float>(vector->data + 16), 5.0f);
  EXPECT_EQ(file.FindTensor("no such"), nullptr);
}

TEST(GgufFileTest, TypedReadsNameTheKeyAndTheTypeThatStandsThere) {
  GgufWriter writer;
  writer.AddString("text", "x");
  writer.AddStrings("texts", {"a"});
  writer.AddUint64("big", std::numeric_limits<uint64_t>::max());
  const auto file = OpenWriter(writer);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->GetInt("missing").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string((*file)->GetInt("missing").status().message()), HasSubstr("missing"));
  for (const absl::Status& status :
       {(*file)->GetInt("text").status(), (*file)->GetFloat("text").status(),
        (*file)->GetBool("text").status(), (*file)->GetStrings("text").status(),
        (*file)->GetInts("text").status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("text: is of type string"));
    EXPECT_THAT(std::string(status.message()), HasSubstr("offset 0x"));
  }
  for (const absl::Status& status :
       {(*file)->GetString("texts").status(), (*file)->GetInts("texts").status()}) {
    EXPECT_THAT(std::string(status.message()), HasSubstr("is of type array of string"));
  }
  EXPECT_EQ((*file)->GetInt("big").status().code(), absl::StatusCode::kInvalidArgument);
}

// An array's elements are read as what they are, never as what the caller hoped for: a shorter type
// read as a longer one would run past the end.
TEST(GgufFileTest, ArraysOfAnotherElementTypeAreNotReinterpreted) {
  GgufWriter writer;
  std::vector<uint8_t> payload = {0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 250, 1, 2};  // 3 uint8
  writer.AddRaw("scores", static_cast<uint32_t>(GgufType::kArray), payload);
  writer.AddFloat32s("floats", {1.5f, -2.5f});
  const auto file = OpenWriter(writer);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->GetInts("floats").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((*file)->GetStrings("scores").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(*(*file)->GetInts("scores"), ElementsAre(250, 1, 2));
}

TEST(GgufFileTest, VersionsTwoAndThreeAreReadOthersAreNamed) {
  for (const uint32_t version : {2u, 3u}) {
    const auto file = OpenWriter(GgufWriter(version));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->version(), version);
  }
  for (const uint32_t version : {0u, 1u, 4u, 0xffffffffu}) {
    const auto file = OpenWriter(GgufWriter(version));
    EXPECT_EQ(file.status().code(), absl::StatusCode::kUnimplemented) << version;
    EXPECT_THAT(std::string(file.status().message()), HasSubstr("offset 0x4: version"));
  }
  const auto swapped = OpenWriter(GgufWriter(0x03000000));
  EXPECT_EQ(swapped.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(swapped.status().message()), HasSubstr("big-endian"));
}

TEST(GgufFileTest, AnotherKindOfFileIsSaidToBeOne) {
  EXPECT_THAT(Refusal({'P', 'K', 3, 4, 0, 0, 0, 0}), HasSubstr("offset 0x0: magic: is 'PK"));
}

// Every length from 1 byte to all but the last data byte: refused, with an offset, never read past.
TEST(GgufFileTest, EveryShorterFileIsRefused) {
  const Sample sample = MakeSample();
  for (size_t length = 1; length < sample.bytes.size(); ++length) {
    const auto file = OpenBytes(
        {sample.bytes.begin(), sample.bytes.begin() + static_cast<std::ptrdiff_t>(length)});
    ASSERT_FALSE(file.ok()) << length;
    ASSERT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument) << file.status();
    ASSERT_THAT(std::string(file.status().message()), HasSubstr("offset 0x"));
  }
}

TEST(GgufFileTest, CountsBeyondTheBytesLeftAreRefused) {
  const Sample sample = MakeSample();
  for (const uint64_t count : {uint64_t{1000}, uint64_t{1} << 32, uint64_t{1} << 61,
                               uint64_t{1} << 62, std::numeric_limits<uint64_t>::max()}) {
    EXPECT_THAT(Refusal(sample.With("tensor_count", count)),
                HasSubstr("offset 0x8: tensor_count: " + std::to_string(count) +
                          " tensors cannot fit in the "));
    EXPECT_THAT(Refusal(sample.With("metadata_count", count)),
                HasSubstr("offset 0x10: metadata_count: " + std::to_string(count)));
    EXPECT_THAT(Refusal(sample.With("general.name.length", count)), HasSubstr("cannot fit"));
    EXPECT_THAT(Refusal(sample.With("key of general.name.length", count)),
                HasSubstr("metadata[1].key.length: "));
    EXPECT_THAT(Refusal(sample.With("name of first.length", count)), HasSubstr("tensors[0].name"));
  }
}

// However long the file is.
TEST(GgufFileTest, CountsAreBoundedByThemselvesToo) {
  Sample sample = MakeSample();
  sample.bytes.resize(sample.bytes.size() + 25 * 65537);
  EXPECT_THAT(Refusal(sample.With("tensor_count", 65537)),
              HasSubstr("offset 0x8: tensor_count: 65537 tensors, at most 65536"));
  EXPECT_THAT(Refusal(sample.With("metadata_count", 65537)),
              HasSubstr("offset 0x10: metadata_count: 65537 entries, at most 65536"));
  EXPECT_THAT(Refusal(sample.With("metadata_count", 65536)), HasSubstr("metadata["));
}

TEST(GgufFileTest, ArrayCountsAreBoundedByTheirElements) {
  for (const uint32_t type : {0u, 4u, 8u, 12u}) {
    for (const uint64_t count : {uint64_t{9}, uint64_t{1} << 60, uint64_t{1} << 61,
                                 uint64_t{1} << 63, std::numeric_limits<uint64_t>::max()}) {
      GgufWriter writer;
      std::vector<uint8_t> payload = {static_cast<uint8_t>(type), 0, 0, 0};
      for (uint8_t byte : Bytes({count, 0})) payload.push_back(byte);
      writer.AddRaw("list", static_cast<uint32_t>(GgufType::kArray), payload);
      EXPECT_THAT(Refusal(writer.Finish()),
                  HasSubstr("metadata[0] 'list'.value.count: " + std::to_string(count)))
          << "type " << type;
    }
  }
}

TEST(GgufFileTest, NestedArraysAndUnknownTypesAreRefused) {
  GgufWriter nested;
  nested.AddRaw("list", static_cast<uint32_t>(GgufType::kArray),
                {9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_THAT(Refusal(nested.Finish()), HasSubstr("arrays of arrays"));
  GgufWriter unknown_element;
  unknown_element.AddRaw("list", static_cast<uint32_t>(GgufType::kArray),
                         {99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10});
  EXPECT_THAT(Refusal(unknown_element.Finish()), HasSubstr("there is no value type 99"));
  for (const uint32_t type : {13u, 0x80000000u, 0xffffffffu}) {
    GgufWriter unknown;
    unknown.AddRaw("value", type, {0, 0, 0, 0, 0, 0, 0, 0});
    EXPECT_THAT(Refusal(unknown.Finish()), HasSubstr("metadata[0] 'value'.type: there is no"));
  }
}

TEST(GgufFileTest, BoolsAreZeroOrOne) {
  GgufWriter writer;
  writer.AddRaw("flag", static_cast<uint32_t>(GgufType::kBool), {2});
  EXPECT_THAT(Refusal(writer.Finish()), HasSubstr("a bool is 0 or 1, not 2"));
  GgufWriter array;
  array.AddRaw("flags", static_cast<uint32_t>(GgufType::kArray),
               {7, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 255});
  EXPECT_THAT(Refusal(array.Finish()), HasSubstr("not 255"));
}

TEST(GgufFileTest, KeysAndNamesAreUniqueAndNotEmpty) {
  GgufWriter keys;
  keys.AddUint32("twice", 1);
  keys.AddUint32("twice", 2);
  EXPECT_THAT(Refusal(keys.Finish()), HasSubstr("metadata[1].key: 'twice' stands twice"));
  GgufWriter empty_key;
  empty_key.AddUint64("", 1);
  EXPECT_THAT(Refusal(empty_key.Finish()), HasSubstr("metadata[0].key: is empty"));
  GgufWriter names;
  names.AddTensor("t", {1}, DType::kF32, {1});
  names.AddTensor("t", {1}, DType::kF32, {1});
  EXPECT_THAT(Refusal(names.Finish()), HasSubstr("tensors[1].name: 't' stands twice"));
  GgufWriter empty_name;
  empty_name.AddTensor("", {1}, DType::kF32, {1});
  EXPECT_THAT(Refusal(empty_name.Finish()), HasSubstr("tensors[0].name: has 0 bytes"));
  GgufWriter long_name;
  long_name.AddTensor(std::string(65, 'n'), {1}, DType::kF32, {1});
  EXPECT_THAT(Refusal(long_name.Finish()), HasSubstr("tensors[0].name: has 65 bytes"));
  GgufWriter long_key;
  long_key.AddUint32(std::string(65536, 'k'), 1);
  EXPECT_THAT(Refusal(long_key.Finish()), HasSubstr("metadata[0].key: has 65536 bytes"));
}

TEST(GgufFileTest, TextIsUtf8AndMessagesShowItSafely) {
  GgufWriter value;
  value.AddString("text", "\xc3\x28");
  EXPECT_THAT(Refusal(value.Finish()), HasSubstr("is not UTF-8"));
  GgufWriter list;
  list.AddStrings("texts", {"fine", "\xff"});
  EXPECT_THAT(Refusal(list.Finish()), HasSubstr("is not UTF-8"));
  GgufWriter key;
  key.AddUint32("\xed\xa0\x80", 1);  // a surrogate
  EXPECT_THAT(Refusal(key.Finish()), HasSubstr("is not UTF-8"));
  GgufWriter hostile;
  hostile.AddRaw("\x1b[2J" + std::string(500, 'x'), 77, {0});
  const std::string message = Refusal(hostile.Finish());
  EXPECT_EQ(message.find('\x1b'), std::string::npos) << "no control character reaches a terminal";
  EXPECT_LT(message.size(), 400u);
}

TEST(GgufFileTest, AlignmentIsAPowerOfTwoAndAUint32) {
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 33u, 0xffffffffu}) {
    GgufWriter writer;
    writer.AddUint32("general.alignment", alignment);
    EXPECT_THAT(Refusal(writer.Finish()),
                HasSubstr("general.alignment: " + std::to_string(alignment)));
  }
  GgufWriter text;
  text.AddString("general.alignment", "32");
  EXPECT_THAT(Refusal(text.Finish()), HasSubstr("general.alignment: is of type string"));
  GgufWriter huge;  // well-formed, but then the data would begin past the end
  huge.AddUint32("general.alignment", 0x80000000u);
  huge.AddTensor("t", {1}, DType::kF32, {1});
  EXPECT_THAT(Refusal(huge.Finish()), HasSubstr("padding before the tensor data"));
}

TEST(GgufFileTest, TensorOffsetsAreAlignedInsideTheFileAndApart) {
  const Sample sample = MakeSample();
  ASSERT_TRUE(OpenBytes(sample.bytes).ok());
  EXPECT_THAT(Refusal(sample.With("second.offset", 32)),
              HasSubstr("tensors[1] 'second'.offset: 32 is not a multiple of the alignment 64"));
  EXPECT_THAT(Refusal(sample.With("second.offset", 64)),
              HasSubstr("tensors[1] 'second'.offset: 64 lies inside the data of 'first'"));
  EXPECT_THAT(Refusal(sample.With("second.offset", 0)), HasSubstr("lies inside the data of"));
  for (const uint64_t offset : {uint64_t{192}, uint64_t{1} << 40, uint64_t{1} << 63,
                                std::numeric_limits<uint64_t>::max() - 63}) {
    EXPECT_THAT(Refusal(sample.With("second.offset", offset)), HasSubstr("do not lie within"))
        << offset;
  }
}

TEST(GgufFileTest, ShapesAreNotZeroNotTooManyAndDoNotOverflow) {
  const Sample sample = MakeSample();
  EXPECT_THAT(Refusal(sample.With("first.n_dims", 5)), HasSubstr("'first'.n_dims: 5 dimensions"));
  EXPECT_THAT(Refusal(sample.With("first.n_dims", 0xffffffff)), HasSubstr("dimensions"));
  EXPECT_THAT(Refusal(sample.With("second.dims", 0)), HasSubstr("'second'.dims[0]: is 0"));

  const uint64_t most = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  const std::vector<std::vector<uint64_t>> overflowing = {
      {(uint64_t{1} << 42) + 1, uint64_t{1} << 22},
      {most, 2},
      {uint64_t{1} << 32, uint64_t{1} << 32},
      {uint64_t{1} << 63},
      {std::numeric_limits<uint64_t>::max(), std::numeric_limits<uint64_t>::max()},
      {uint64_t{1} << 16, uint64_t{1} << 16, uint64_t{1} << 16, uint64_t{1} << 16},
  };
  for (const std::vector<uint64_t>& shape : overflowing) {
    GgufWriter writer;
    writer.AddTensorBytes("t", shape, 0, {0, 0, 0, 0});
    EXPECT_THAT(Refusal(writer.Finish()), HasSubstr("the number of elements overflows"));
  }
  GgufWriter bytes_overflow;  // the elements fit in 63 bits, four bytes each do not
  bytes_overflow.AddTensorBytes("t", {uint64_t{1} << 62}, 0, {0, 0, 0, 0});
  EXPECT_THAT(Refusal(bytes_overflow.Finish()), HasSubstr("the tensor's size overflows"));
}

TEST(GgufFileTest, RowsAreWholeBlocks) {
  GgufWriter writer;
  writer.AddTensorBytes("t", {128, 2}, static_cast<uint32_t>(DType::kQ4_K),
                        std::vector<uint8_t>(144));
  EXPECT_THAT(Refusal(writer.Finish()),
              HasSubstr("'t'.type: a row of 128 elements is not a whole number of Q4_K blocks"));
}

TEST(GgufFileTest, TensorTypesThatAreNotReadAreNamed) {
  for (const uint32_t type : {4u, 10u, 23u, 1000u, 0x80000000u, 0xffffffffu}) {
    GgufWriter writer;
    writer.AddTensorBytes("t", {256}, type, std::vector<uint8_t>(256));
    const auto file = OpenWriter(writer);
    EXPECT_EQ(file.status().code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(file.status().message()),
                HasSubstr("tensor type " + std::to_string(type)));
  }
  GgufWriter known_elsewhere;
  known_elsewhere.AddTensorBytes("t", {256}, 10, std::vector<uint8_t>(84));
  EXPECT_THAT(Refusal(known_elsewhere.Finish()), HasSubstr("(Q2_K)"));
}

TEST(GgufFileTest, AFileWithoutTensorsNeedsNoPadding) {
  GgufWriter writer;
  writer.AddUint32("a", 1);
  EXPECT_TRUE(OpenWriter(writer).ok());
}

// Lengths are checked when the file is parsed; what stands there later is another's.
TEST(GgufFileTest, AFileThatChangesUnderneathIsNotReadPast) {
  GgufWriter writer;
  writer.AddString("text", "four");
  writer.AddStrings("texts", {"one", "two"});
  std::vector<GgufField> fields;
  const std::vector<uint8_t> bytes = writer.Finish(&fields);
  const std::string path = testing::WriteTestFile("gguf_file_test_changing.gguf", bytes);
  const auto opened = GgufFile::Open(path);
  ASSERT_TRUE(opened.ok()) << opened.status();
  const GgufFile& file = **opened;
  EXPECT_TRUE(file.CheckUnchanged().ok());
  std::fstream changed(path, std::ios::binary | std::ios::in | std::ios::out);
  for (const GgufField& field : fields) {
    if (field.kind != GgufFieldKind::kLength) continue;
    changed.seekp(static_cast<std::streamoff>(field.offset) + 4);
    changed.put(1);  // four GiB more
  }
  changed.seekp(0, std::ios::end);
  changed.put(0);
  changed.close();
  EXPECT_EQ(*file.GetString("text"), "four");
  EXPECT_EQ(file.GetStrings("texts").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(file.CheckUnchanged().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(file.CheckUnchanged().message()), HasSubstr(path));
  std::remove(path.c_str());
}

TEST(GgufFileTest, FingerprintTellsFilesApart) {
  const auto fingerprint = [](const std::vector<uint8_t>& bytes) {
    const auto file = OpenBytes(bytes);
    EXPECT_TRUE(file.ok()) << file.status();
    return file.ok() ? (*file)->Fingerprint() : std::string();
  };
  const Sample sample = MakeSample();
  const std::string original = fingerprint(sample.bytes);
  EXPECT_EQ(original.size(), 64u);
  EXPECT_EQ(fingerprint(sample.bytes), original);
  std::vector<uint8_t> weights = sample.bytes;
  weights.back() ^= 1;
  EXPECT_NE(fingerprint(weights), original);
  std::vector<uint8_t> name = sample.bytes;
  name[sample.Field("general.name").offset] ^= 1;
  EXPECT_NE(fingerprint(name), original);
  std::vector<uint8_t> longer = sample.bytes;
  longer.push_back(0);
  EXPECT_NE(fingerprint(longer), original);
}

// The tiny models that other tests stand on are whole files of every format.
TEST(TinyModelTest, IsAWholeFileInEveryFormat) {
  for (const char* architecture : {"llama", "qwen2"}) {
    for (const QuantFormat& format : AllFormats()) {
      testing::TinyModelOptions options;
      options.architecture = architecture;
      options.weights = format.dtype;
      const std::string path = testing::WriteTinyModel(options, "gguf_file_test_tiny.gguf");
      const auto file = GgufFile::Open(path);
      std::remove(path.c_str());
      ASSERT_TRUE(file.ok()) << file.status();
      EXPECT_EQ(*(*file)->GetString("general.architecture"), architecture);
      EXPECT_EQ((*file)->FindTensor("blk.1.ffn_down.weight")->dtype, format.dtype);
      EXPECT_EQ((*file)->GetStrings("tokenizer.ggml.tokens")->size(),
                static_cast<size_t>((*file)->FindTensor("token_embd.weight")->rows()));
      EXPECT_EQ((*file)->FindTensor("blk.0.attn_q.bias") != nullptr,
                architecture == std::string("qwen2"));
    }
  }
}

TEST(TinyModelTest, IsTheSameFileEveryTime) {
  testing::TinyModelOptions options;
  EXPECT_EQ(testing::TinyModelBytes(options), testing::TinyModelBytes(options));
  testing::TinyModelOptions other = options;
  other.seed = 2;
  EXPECT_NE(testing::TinyModelBytes(options), testing::TinyModelBytes(other));
}

}  // namespace
}  // namespace nearfar
