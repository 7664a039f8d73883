// A model's weights before and after packing: the same numbers, in one copy, on any number of
// threads.

#include "local_engine/model/packed_weights.h"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "local_engine/gguf/gguf_file.h"
#include "local_engine/packing/packing.h"
#include "local_engine/quant/formats.h"
#include "tests/testing/tiny_model.h"

namespace nearfar {
namespace {

using ::nearfar::testing::TinyModelOptions;

struct Packed {
  std::unique_ptr<GgufFile> file;
  ModelWeights before;
  PackedWeights after;
};

Packed Pack(const TinyModelOptions& options, int threads) {
  Packed packed;
  packed.file = GgufFile::Open(testing::WriteTinyModel(options, "packed.gguf")).value();
  packed.before = FindWeights(*packed.file, ReadModelConfig(*packed.file).value()).value();
  const auto pool = ThreadPool::Create(threads).value();
  packed.after = PackWeights(packed.before, *packed.file, pool.get()).value();
  return packed;
}

void ExpectSameRows(const Matrix& before, const Matrix& after) {
  ASSERT_TRUE(after.packed);
  const PackedFormat& format = *FindPackedFormat(before.dtype);
  const int64_t row_bytes = FindFormat(before.dtype)->RowBytes(before.cols);
  std::vector<uint8_t> row(row_bytes);
  for (int64_t r = 0; r < before.rows; ++r) {
    format.unpack(after.data + r / kStripRows * after.stride, static_cast<int>(r % kStripRows),
                  after.cols, row.data());
    ASSERT_EQ(std::memcmp(row.data(), before.data + r * before.stride, row_bytes), 0) << r;
  }
}

void ExpectSameLayers(const Packed& packed) {
  ASSERT_EQ(packed.before.layers.size(), packed.after.weights.layers.size());
  for (size_t i = 0; i < packed.before.layers.size(); ++i) {
    const LayerWeights& before = packed.before.layers[i];
    const LayerWeights& after = packed.after.weights.layers[i];
    ExpectSameRows(before.query, after.query);
    ExpectSameRows(before.key, after.key);
    ExpectSameRows(before.value, after.value);
    ExpectSameRows(before.attention_output, after.attention_output);
    ExpectSameRows(before.gate, after.gate);
    ExpectSameRows(before.up, after.up);
    ExpectSameRows(before.down, after.down);
    EXPECT_EQ(before.ffn_norm, after.ffn_norm);
  }
}

TEST(PackedWeights, AreTheFilesWeights) {
  for (const DType weights : {DType::kQ4_1, DType::kQ8_0, DType::kQ4_K, DType::kQ6_K}) {
    for (const int threads : {1, 3}) {
      const Packed packed = Pack({.weights = weights}, threads);
      ExpectSameLayers(packed);
      ExpectSameRows(packed.before.output, packed.after.weights.output);
      EXPECT_EQ(static_cast<int64_t>(packed.after.memory.bytes.size()), PackedBytes(packed.before));
      EXPECT_EQ(CostOfToken(packed.after.weights).bytes, PackedBytes(packed.before));
    }
  }
}

TEST(PackedWeights, AnOutputThatIsTheEmbeddingIsOneCopy) {
  const Packed packed = Pack({.weights = DType::kQ8_0}, 1);
  EXPECT_EQ(packed.after.weights.embedding.data, packed.after.weights.output.data);
  EXPECT_TRUE(packed.after.weights.embedding.packed);
}

TEST(PackedWeights, AnEmbeddingOfItsOwnStaysInTheFile) {
  const Packed packed = Pack({.weights = DType::kQ8_0, .tied_embeddings = false}, 1);
  EXPECT_EQ(packed.after.weights.embedding.data, packed.before.embedding.data);
  EXPECT_FALSE(packed.after.weights.embedding.packed);
  ExpectSameRows(packed.before.output, packed.after.weights.output);
}

TEST(PackedWeights, FloatsAreReadWhereTheyAre) {
  const Packed packed = Pack({.weights = DType::kF16}, 1);
  EXPECT_EQ(packed.after.memory.bytes.size(), 0u);
  EXPECT_EQ(packed.after.weights.layers[1].up.data, packed.before.layers[1].up.data);
}

}  // namespace
}  // namespace nearfar
