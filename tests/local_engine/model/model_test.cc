#include "local_engine/model/model.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/tiny_model.h"

namespace nearfar {
namespace {

using ::nearfar::testing::GgufWriter;
using ::nearfar::testing::TinyModel;
using ::testing::HasSubstr;

TEST(Model, LoadsWholeFiles) {
  for (const char* architecture : {"llama", "qwen2"}) {
    const std::string path = testing::WriteTinyModel({.architecture = architecture});
    const auto model = LoadModel(path);
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ((*model)->tokenizer->vocabulary(), (*model)->weights.vocabulary());
    ASSERT_TRUE((*model)->chat_template.ok()) << (*model)->chat_template.status();
  }
}

TEST(Model, AMissingFileIsNotFoundAndNamed) {
  const auto model = LoadModel("/nowhere/model.gguf");
  EXPECT_EQ(model.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(model.status().message(), HasSubstr("/nowhere/model.gguf"));
}

TEST(Model, MessagesNameTheFile) {
  GgufWriter writer = TinyModel({});
  ASSERT_TRUE(writer.Remove("output_norm.weight"));
  const std::string path = testing::WriteTestFile("lacking.gguf", writer.Finish());
  EXPECT_THAT(LoadModel(path).status().message(), HasSubstr(path));
}

TEST(Model, AVocabularyUnlikeTheEmbeddingIsRefused) {
  GgufWriter writer = TinyModel({});
  ASSERT_TRUE(writer.Remove("token_embd.weight"));
  writer.AddTensor("token_embd.weight", {64, 100}, DType::kF32, std::vector<float>(6400, 0.1f));
  const std::string path = testing::WriteTestFile("vocabulary.gguf", writer.Finish());
  const auto model = LoadModel(path);
  EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(model.status().message(), HasSubstr("token_embd.weight: 100 rows"));
  EXPECT_THAT(model.status().message(), HasSubstr("tokenizer.ggml.tokens"));
}

TEST(Model, ARefusalBeforePackingComesBeforeIt) {
  int calls = 0;
  const auto refuse = [&](const Model& model) {
    ++calls;
    EXPECT_EQ(model.tokenizer->vocabulary(), model.weights.vocabulary());
    EXPECT_TRUE(model.packed.memory.bytes.empty());
    return absl::ResourceExhaustedError("too long");
  };
  const std::string path = testing::WriteTinyModel({});
  const auto model = LoadModel(path, {.before_packing = refuse});
  EXPECT_EQ(model.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(model.status().message(), HasSubstr(path));
  EXPECT_THAT(model.status().message(), HasSubstr("too long"));
  EXPECT_EQ(calls, 1);
}

TEST(Model, ABaseModelNeedsNoChatTemplate) {
  GgufWriter writer = TinyModel({});
  ASSERT_TRUE(writer.Remove("tokenizer.chat_template"));
  writer.AddString("tokenizer.chat_template", "{{ something nobody has seen }}");
  const std::string path = testing::WriteTestFile("base.gguf", writer.Finish());
  const auto model = LoadModel(path);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->chat_template.status().code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace nearfar
