// The chat templates of the default models against Jinja's rendering of the files' own templates,
// tokenized by llama.cpp. Goldens: tests/oracle/tokenizer_golden.py.

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "local_engine/tokenizer/chat_template.h"
#include "tests/local_engine/tokenizer/golden.h"

namespace nearfar {
namespace {

using nearfar::testing::FromHex;

struct Model {
  const char* file;
  const char* golden;  // the "model" of the golden lines, and the template's name
};

// The turns of a golden line: [["role","hex"],...].
std::vector<std::pair<std::string, std::string>> Turns(const std::string& line) {
  std::vector<std::pair<std::string, std::string>> turns;
  size_t at = line.find("\"turns\":[");
  const size_t end = line.find("]]", at);
  while ((at = line.find("[\"", at)) < end) {
    const size_t role = at + 2;
    const size_t role_end = line.find('"', role);
    const size_t text = line.find('"', role_end + 1) + 1;
    at = line.find('"', text);
    turns.emplace_back(line.substr(role, role_end - role), FromHex(line.substr(text, at - text)));
  }
  return turns;
}

class ChatTemplateGoldenTest : public ::testing::TestWithParam<Model> {};

TEST_P(ChatTemplateGoldenTest, IdsAreThoseOfTheRenderedTemplate) {
  const auto model = nearfar::testing::OpenModelTokenizer(GetParam().file);
  if (model.tokenizer == nullptr) {
    GTEST_SKIP() << GetParam().file << " is not here; scripts/models.sh fetches it";
  }
  const auto chat = MakeChatTemplate(*model.file, *model.tokenizer);
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_EQ((*chat)->name(), GetParam().golden);
  int compared = 0;
  for (const std::string& line : nearfar::testing::GoldenLines("chat_template.jsonl")) {
    if (nearfar::testing::GoldenField(line, "model") != GetParam().golden) continue;
    const auto turns = Turns(line);
    std::vector<TemplateTurn> views;
    views.reserve(turns.size());
    for (const auto& [role, content] : turns) views.push_back({role, content});
    const auto ids = (*chat)->Encode(views, FromHex(nearfar::testing::GoldenField(line, "prefix")));
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(*ids, nearfar::testing::GoldenIds(line, "ids")) << line;
    ++compared;
  }
  EXPECT_GE(compared, 14);
}

INSTANTIATE_TEST_SUITE_P(
    DefaultModels, ChatTemplateGoldenTest,
    ::testing::Values(Model{"smollm2-135m-instruct-q4_1.gguf", "smollm2"},
                      Model{"qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2.5"},
                      Model{"qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "qwen2.5"}),
    [](const auto& info) {
      return std::string(info.param.golden).substr(0, 4) + std::to_string(info.index);
    });

}  // namespace
}  // namespace nearfar
