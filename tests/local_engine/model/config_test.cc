#include "local_engine/model/config.h"

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/gguf/gguf_file.h"
#include "tests/testing/tiny_model.h"

namespace nearfar {
namespace {

using ::nearfar::testing::GgufWriter;
using ::nearfar::testing::TinyModel;
using ::nearfar::testing::TinyModelOptions;
using ::testing::HasSubstr;

absl::StatusOr<ModelConfig> Read(const GgufWriter& writer) {
  const std::string path = testing::WriteTestFile("config.gguf", writer.Finish());
  auto file = GgufFile::Open(path);
  if (!file.ok()) return file.status();
  return ReadModelConfig(**file);
}

TEST(ModelConfig, ReadsAWholeLlama) {
  const auto config = Read(TinyModel({.layers = 3, .context = 99}));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_STREQ(config->architecture->name, "llama");
  EXPECT_EQ(config->layers, 3);
  EXPECT_EQ(config->width, 64);
  EXPECT_EQ(config->ffn_width, 128);
  EXPECT_EQ(config->heads, 4);
  EXPECT_EQ(config->kv_heads, 2);
  EXPECT_EQ(config->head_width, 16);
  EXPECT_EQ(config->rope_width, 16);
  EXPECT_EQ(config->query_width(), 64);
  EXPECT_EQ(config->kv_width(), 32);
  EXPECT_EQ(config->trained_context, 99);
  EXPECT_FLOAT_EQ(config->norm_epsilon, 1e-5f);
  EXPECT_FLOAT_EQ(config->rope_base, 10000.0f);
  EXPECT_EQ(config->rope_scale, 1.0f);
}

TEST(ModelConfig, AbsentKeysThatHaveADefault) {
  GgufWriter writer = TinyModel({});
  for (const char* key :
       {"llama.attention.head_count_kv", "llama.rope.dimension_count", "llama.rope.freq_base"}) {
    ASSERT_TRUE(writer.Remove(key)) << key;
  }
  const auto config = Read(writer);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->kv_heads, config->heads);
  EXPECT_EQ(config->rope_width, config->head_width);
  EXPECT_FLOAT_EQ(config->rope_base, 10000.0f);
}

TEST(ModelConfig, AWindowAsLongAsTheContextIsNone) {
  for (const uint32_t window : {0, 99, 4096}) {
    GgufWriter writer = TinyModel({.context = 99});
    writer.AddUint32("llama.attention.sliding_window", window);
    EXPECT_TRUE(Read(writer).ok()) << window;
  }
}

// As llama.cpp reads the keys.
TEST(ModelConfig, LinearRopeScalingIsRead) {
  for (const char* factor_key : {"llama.rope.scaling.factor", "llama.rope.scale_linear"}) {
    GgufWriter writer = TinyModel({});
    writer.AddFloat32(factor_key, 4.0f);
    EXPECT_FLOAT_EQ(Read(writer).value().rope_scale, 4.0f) << "without a type " << factor_key;
    writer.AddString("llama.rope.scaling.type", "linear");
    EXPECT_FLOAT_EQ(Read(writer).value().rope_scale, 4.0f) << factor_key;
    ASSERT_TRUE(writer.Remove("llama.rope.scaling.type"));
    writer.AddString("llama.rope.scaling.type", "none");
    EXPECT_FLOAT_EQ(Read(writer).value().rope_scale, 1.0f) << factor_key;
  }
  GgufWriter both = TinyModel({});
  both.AddFloat32("llama.rope.scale_linear", 4.0f);
  both.AddFloat32("llama.rope.scaling.factor", 2.0f);
  both.AddFloat32("llama.rope.scaling.attn_factor", 1.0f);
  EXPECT_FLOAT_EQ(Read(both).value().rope_scale, 2.0f);
}

// One thing wrong, and what the message must name.
struct Wrong {
  const char* name;
  const char* key;  // taken out first
  std::function<void(GgufWriter&)> add;
  absl::StatusCode code;
  const char* says;
};

void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }

std::function<void(GgufWriter&)> Uint(const char* key, uint32_t value) {
  return [=](GgufWriter& writer) { writer.AddUint32(key, value); };
}
std::function<void(GgufWriter&)> Float(const char* key, float value) {
  return [=](GgufWriter& writer) { writer.AddFloat32(key, value); };
}
std::function<void(GgufWriter&)> Text(const char* key, const char* value) {
  return [=](GgufWriter& writer) { writer.AddString(key, value); };
}
void Nothing(GgufWriter&) {}

constexpr char kLayers[] = "llama.block_count";
constexpr char kWidth[] = "llama.embedding_length";
constexpr char kHeads[] = "llama.attention.head_count";
constexpr char kKvHeads[] = "llama.attention.head_count_kv";
constexpr char kEpsilon[] = "llama.attention.layer_norm_rms_epsilon";
constexpr char kRopeWidth[] = "llama.rope.dimension_count";
constexpr char kRopeBase[] = "llama.rope.freq_base";
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kUnknown = absl::StatusCode::kUnimplemented;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

const Wrong kWrongs[] = {
    {"NoFamily", "general.architecture", Nothing, kInvalid, "general.architecture"},
    {"StrangeFamily", "general.architecture", Text("general.architecture", "gpt9"), kUnknown,
     "\"gpt9\""},
    {"FamilyOfNumbers", "general.architecture", Uint("general.architecture", 1), kInvalid,
     "general.architecture"},
    {"NoLayers", kLayers, Nothing, kInvalid, "llama.block_count"},
    {"ZeroLayers", kLayers, Uint(kLayers, 0), kInvalid, "llama.block_count: 0"},
    {"EndlessLayers", kLayers, Uint(kLayers, 4000000000u), kInvalid, "llama.block_count"},
    {"LayersAsText", kLayers, Text(kLayers, "2"), kInvalid, "llama.block_count"},
    {"ZeroWidth", kWidth, Uint(kWidth, 0), kInvalid, "llama.embedding_length: 0"},
    {"HugeWidth", kWidth, Uint(kWidth, 1u << 30), kInvalid, "llama.embedding_length"},
    {"NoFfn", "llama.feed_forward_length", Nothing, kInvalid, "llama.feed_forward_length"},
    {"NoContext", "llama.context_length", Nothing, kInvalid, "llama.context_length"},
    {"ZeroHeads", kHeads, Uint(kHeads, 0), kInvalid, "llama.attention.head_count: 0"},
    {"HeadsDoNotDivideTheWidth", kHeads, Uint(kHeads, 6), kInvalid, "do not divide the width 64"},
    {"KeyHeadsDoNotDivide", kKvHeads, Uint(kKvHeads, 3), kInvalid, "3 key heads do not divide"},
    {"ZeroKeyHeads", kKvHeads, Uint(kKvHeads, 0), kInvalid, "head_count_kv: 0"},
    {"OddHead", kHeads, Uint(kHeads, 64), kInvalid, "heads of width 1"},
    {"OddKeyWidth", kRopeWidth, Uint("llama.attention.key_length", 15), kInvalid, "width 15"},
    {"ValuesUnlikeKeys", kRopeWidth, Uint("llama.attention.value_length", 8), kUnknown,
     "llama.attention.value_length: 8"},
    {"NoEpsilon", kEpsilon, Nothing, kInvalid, "layer_norm_rms_epsilon"},
    {"NanEpsilon", kEpsilon, Float(kEpsilon, kNan), kInvalid, "layer_norm_rms_epsilon"},
    {"NegativeEpsilon", kEpsilon, Float(kEpsilon, -1), kInvalid, "layer_norm_rms_epsilon"},
    {"WideRope", kRopeWidth, Uint(kRopeWidth, 18), kInvalid, "llama.rope.dimension_count: 18"},
    {"OddRope", kRopeWidth, Uint(kRopeWidth, 7), kInvalid, "7 is odd"},
    {"ZeroRopeBase", kRopeBase, Float(kRopeBase, 0), kInvalid, "llama.rope.freq_base"},
    {"Yarn", kRopeBase, Text("llama.rope.scaling.type", "yarn"), kUnknown, "\"yarn\""},
    {"FactorOutOfRange", kRopeBase, Float("llama.rope.scaling.factor", 0), kInvalid,
     "llama.rope.scaling.factor: 0"},
    {"OldFactorIsNan", kRopeBase, Float("llama.rope.scale_linear", kNan), kInvalid,
     "llama.rope.scale_linear"},
    {"AttentionFactor", kRopeBase, Float("llama.rope.scaling.attn_factor", 1.2f), kUnknown,
     "llama.rope.scaling.attn_factor: 1.2"},
    {"LinearWithoutFactor", kRopeBase, Text("llama.rope.scaling.type", "linear"), kInvalid,
     "llama.rope.scaling.factor"},
    {"Experts", kRopeBase, Uint("llama.expert_count", 8), kUnknown, "8 experts"},
    {"SlidingWindow", kRopeBase, Uint("llama.attention.sliding_window", 16), kUnknown,
     "llama.attention.sliding_window: a sliding window of 16"},
};

class WrongConfig : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongConfig, IsRefusedByName) {
  GgufWriter writer = TinyModel({});
  ASSERT_TRUE(writer.Remove(GetParam().key));
  GetParam().add(writer);
  const auto config = Read(writer);
  EXPECT_EQ(config.status().code(), GetParam().code) << config.status();
  EXPECT_THAT(config.status().message(), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(All, WrongConfig, ::testing::ValuesIn(kWrongs),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace nearfar
