#include "local_engine/model/weights.h"

#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/gguf/gguf_file.h"
#include "local_engine/quant/formats.h"
#include "tests/testing/tiny_model.h"

namespace nearfar {
namespace {

using ::nearfar::testing::GgufWriter;
using ::nearfar::testing::TinyModel;
using ::testing::HasSubstr;

// The file stays with the weights that borrow from it.
struct Loaded {
  std::unique_ptr<GgufFile> file;
  ModelConfig config;
  absl::StatusOr<ModelWeights> weights;
};

Loaded Load(const GgufWriter& writer) {
  const std::string path = testing::WriteTestFile("weights.gguf", writer.Finish());
  Loaded loaded;
  loaded.file = GgufFile::Open(path).value();
  loaded.config = ReadModelConfig(*loaded.file).value();
  loaded.weights = FindWeights(*loaded.file, loaded.config);
  return loaded;
}

TEST(Weights, AWholeLlamaIsFoundAndTied) {
  const Loaded loaded = Load(TinyModel({.weights = DType::kQ8_0, .layers = 3}));
  ASSERT_TRUE(loaded.weights.ok()) << loaded.weights.status();
  const ModelWeights& weights = *loaded.weights;
  ASSERT_EQ(weights.layers.size(), 3u);
  EXPECT_EQ(weights.output.data, weights.embedding.data);
  EXPECT_EQ(weights.layers[2].down.rows, 64);
  EXPECT_EQ(weights.layers[2].down.cols, 128);
  EXPECT_EQ(weights.layers[2].down.stride, 128 / 32 * 34);
  EXPECT_EQ(weights.layers[0].key.rows, 32);
  EXPECT_TRUE(weights.layers[0].query_bias.empty());
  EXPECT_TRUE(weights.rope_factors.empty());
  EXPECT_EQ(MainDType(*loaded.file), DType::kQ8_0);
}

// Of a layer: 64 x 64 twice, 32 x 64 twice, 128 x 64 three times; of the output 64 a token.
TEST(Weights, ATokenCostsEveryMatrixButAnEmbeddingOfItsOwn) {
  const Loaded tied = Load(TinyModel({.weights = DType::kF16, .layers = 3}));
  const Loaded untied =
      Load(TinyModel({.weights = DType::kF16, .tied_embeddings = false, .layers = 3}));
  const TokenCost cost = CostOfToken(tied.weights.value());
  EXPECT_EQ(cost.layer_elements, 3 * 64 * (2 * 64 + 2 * 32 + 3 * 128));
  EXPECT_EQ(cost.output_elements, int64_t{64} * tied.weights->vocabulary());
  EXPECT_EQ(cost.bytes, 2 * (cost.layer_elements + cost.output_elements));
  EXPECT_EQ(CostOfToken(untied.weights.value()).bytes, cost.bytes);
}

TEST(Weights, Qwen2HasBiasesAndMayHaveItsOwnOutput) {
  const Loaded loaded = Load(TinyModel({.architecture = "qwen2", .tied_embeddings = false}));
  ASSERT_TRUE(loaded.weights.ok()) << loaded.weights.status();
  EXPECT_NE(loaded.weights->output.data, loaded.weights->embedding.data);
  EXPECT_EQ(loaded.weights->layers[1].query_bias.size(), 64u);
  EXPECT_EQ(loaded.weights->layers[1].value_bias.size(), 32u);
}

TEST(Weights, VectorsOfAnyTypeAreDecoded) {
  GgufWriter writer = TinyModel({});
  ASSERT_TRUE(writer.Remove("output_norm.weight"));
  writer.AddTensor("output_norm.weight", {64}, DType::kF16, std::vector<float>(64, 1.5f));
  const Loaded loaded = Load(writer);
  ASSERT_TRUE(loaded.weights.ok()) << loaded.weights.status();
  EXPECT_THAT(loaded.weights->output_norm, ::testing::Each(1.5f));
}

TEST(Weights, RopeFactorsAndLinearScalingMultiply) {
  GgufWriter writer = TinyModel({});
  writer.AddTensor("rope_freqs.weight", {8}, DType::kF32, std::vector<float>(8, 2.0f));
  EXPECT_THAT(Load(writer).weights.value().rope_factors, ::testing::Each(2.0f));
  writer.AddString("llama.rope.scaling.type", "linear");
  writer.AddFloat32("llama.rope.scaling.factor", 4.0f);
  EXPECT_THAT(Load(writer).weights.value().rope_factors, ::testing::Each(8.0f));
  ASSERT_TRUE(writer.Remove("rope_freqs.weight"));
  EXPECT_THAT(Load(writer).weights.value().rope_factors, ::testing::Each(4.0f));
}

TEST(Weights, ParametersAreCounted) {
  const Loaded loaded = Load(TinyModel({.layers = 1}));
  const int64_t vocabulary = loaded.weights.value().vocabulary();
  const int64_t layer = 64 * (64 + 32 + 32 + 64) + 3 * 64 * 128 + 2 * 64;
  EXPECT_EQ(CountParameters(*loaded.file), vocabulary * 64 + layer + 64);
}

// A tensor of the file replaced by another, or taken out.
struct Wrong {
  const char* name;
  const char* tensor;
  std::vector<uint64_t> shape;  // empty: taken out
  const char* says;
};

void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }

const Wrong kWrongs[] = {
    {"NoEmbedding", "token_embd.weight", {}, "tensor token_embd.weight: the file lacks it"},
    {"NarrowEmbedding", "token_embd.weight", {32, 279}, "its shape is [32, 279]"},
    {"FlatEmbedding", "token_embd.weight", {64}, "its shape is [64]"},
    {"NoNorm", "blk.1.attn_norm.weight", {}, "tensor blk.1.attn_norm.weight: the file lacks it"},
    {"LongNorm", "output_norm.weight", {65}, "its shape is [65], but the metadata asks for [64]"},
    {"SquareNorm", "output_norm.weight", {8, 8}, "its shape is [8, 8]"},
    {"NoQuery", "blk.0.attn_q.weight", {}, "tensor blk.0.attn_q.weight"},
    {"KeyForAllHeads", "blk.0.attn_k.weight", {64, 64}, "asks for [64, 32]"},
    {"DownTurned", "blk.1.ffn_down.weight", {64, 128}, "asks for [128, 64]"},
    {"ThreeDimensions", "blk.1.ffn_up.weight", {64, 64, 2}, "its shape is [64, 64, 2]"},
};

class WrongWeights : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongWeights, AreRefusedByNameAndShape) {
  const Wrong& wrong = GetParam();
  GgufWriter writer = TinyModel({});
  ASSERT_TRUE(writer.Remove(wrong.tensor));
  if (!wrong.shape.empty()) {
    size_t elements = 1;
    for (const uint64_t extent : wrong.shape) elements *= extent;
    writer.AddTensor(wrong.tensor, wrong.shape, DType::kF32, std::vector<float>(elements, 1.0f));
  }
  const Loaded loaded = Load(writer);
  EXPECT_EQ(loaded.weights.status().code(), absl::StatusCode::kInvalidArgument)
      << loaded.weights.status();
  EXPECT_THAT(loaded.weights.status().message(), HasSubstr(wrong.says));
}

INSTANTIATE_TEST_SUITE_P(All, WrongWeights, ::testing::ValuesIn(kWrongs),
                         [](const auto& info) { return info.param.name; });

// Terms that other programs would add: to leave them out would change every answer unseen.
TEST(Weights, ATensorThatIsNotComputedWithIsRefused) {
  for (const char* name :
       {"blk.0.attn_output.bias", "blk.1.ffn_gate.bias", "blk.0.ffn_up.bias", "blk.1.ffn_down.bias",
        "blk.0.attn_q_norm.weight", "output.bias", "blk.2.attn_norm.weight", "strange"}) {
    GgufWriter writer = TinyModel({.layers = 2});
    writer.AddTensor(name, {64}, DType::kF32, std::vector<float>(64, 0.5f));
    const Loaded loaded = Load(writer);
    EXPECT_EQ(loaded.weights.status().code(), absl::StatusCode::kUnimplemented) << name;
    EXPECT_THAT(loaded.weights.status().message(),
                HasSubstr(std::string("tensor ") + name + ": models of the family \"llama\""));
  }
}

TEST(Weights, AQwen2WithoutBiasIsRefused) {
  GgufWriter writer = TinyModel({.architecture = "qwen2"});
  ASSERT_TRUE(writer.Remove("blk.0.attn_k.bias"));
  EXPECT_THAT(Load(writer).weights.status().message(), HasSubstr("blk.0.attn_k.bias"));
}

TEST(Weights, RopeFactorsThatAreNoDivisorsAreRefused) {
  for (const float bad : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN()}) {
    GgufWriter writer = TinyModel({});
    writer.AddTensor("rope_freqs.weight", {8}, DType::kF32, std::vector<float>(8, bad));
    EXPECT_THAT(Load(writer).weights.status().message(), HasSubstr("rope_freqs.weight"));
  }
}

}  // namespace
}  // namespace nearfar
