// The tokenizers of the default models against llama.cpp's, text by text; and properties that hold
// with a real vocabulary. Goldens: tests/oracle/tokenizer_golden.py.

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/local_engine/tokenizer/golden.h"

namespace nearfar {
namespace {

struct Model {
  const char* file;
  const char* golden;  // the field of the golden lines
  bool all_bytes;      // the vocabulary has a token for each of the 256 bytes
};

class TokenizerGoldenTest : public ::testing::TestWithParam<Model> {
 protected:
  void SetUp() override {
    model_ = nearfar::testing::OpenModelTokenizer(GetParam().file);
    if (model_.tokenizer == nullptr) {
      GTEST_SKIP() << GetParam().file << " is not here; scripts/models.sh fetches it";
    }
  }

  std::vector<int32_t> Encode(const std::string& text, bool special = false) const {
    std::vector<int32_t> ids;
    model_.tokenizer->Encode(text, special, &ids);
    return ids;
  }

  std::string BytesOf(const std::vector<int32_t>& ids) const {
    std::string bytes;
    for (const int32_t id : ids) bytes += model_.tokenizer->Bytes(id);
    return bytes;
  }

  nearfar::testing::ModelTokenizer model_;
};

TEST_P(TokenizerGoldenTest, IdsAreThoseOfLlamaCpp) {
  const std::vector<std::string> lines = nearfar::testing::GoldenLines("tokenizer.jsonl");
  EXPECT_GE(lines.size(), 200u);
  for (const std::string& line : lines) {
    const std::string text = nearfar::testing::FromHex(nearfar::testing::GoldenField(line, "text"));
    const bool special = nearfar::testing::GoldenField(line, "special") == "1";
    EXPECT_EQ(Encode(text, special), nearfar::testing::GoldenIds(line, GetParam().golden))
        << "text: " << ::testing::PrintToString(text) << ", parse_special: " << special;
  }
}

TEST_P(TokenizerGoldenTest, BytesComeBack) {
  std::mt19937 random(13);
  for (int round = 0; round < 400; ++round) {
    std::string text;
    for (int i = random() % 80; i > 0; --i) {
      const bool any = GetParam().all_bytes && random() % 3 == 0;
      text += static_cast<char>(any ? random() % 256 : ' ' + random() % 95);
    }
    ASSERT_EQ(BytesOf(Encode(text)), text);
  }
}

TEST_P(TokenizerGoldenTest, ALongRunOfAnythingIsEncoded) {
  for (const char* unit :
       {"a", " ", "\n", "7", "=", "\xe4\xbd\xa0", "\xf0\x9f\x98\x80", "'", "\xc2\xa0"}) {
    std::string text;
    while (text.size() < (1 << 18)) text += unit;
    EXPECT_EQ(BytesOf(Encode(text)), text) << unit;
  }
}

INSTANTIATE_TEST_SUITE_P(
    DefaultModels, TokenizerGoldenTest,
    ::testing::Values(Model{"smollm2-135m-instruct-q4_1.gguf", "smollm2", false},
                      Model{"qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5", true},
                      Model{"qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "qwen2.5", true}),
    [](const auto& info) {
      return std::string(info.param.golden).substr(0, 4) + std::to_string(info.index);
    });

}  // namespace
}  // namespace nearfar
