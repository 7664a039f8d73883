// Holds local_engine/tokenizer/make_tokenizer.cc: which metadata gives which tokenizer, and what
// the refusals name.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "local_engine/gguf/gguf_file.h"
#include "local_engine/tokenizer/pretokenizer.h"
#include "local_engine/tokenizer/tokenizer.h"
#include "local_engine/tokenizer/vocab.h"
#include "tests/testing/gguf_writer.h"

namespace nearfar {
namespace {

using nearfar::testing::GgufWriter;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Keys that a test can leave out or change before the file is written.
struct Metadata {
  std::string model = "gpt2";
  std::string pre = "gpt-2";
  std::vector<std::string> tokens = {"a", "b", "ab", "<s>", "</s>"};
  std::vector<int32_t> types = {1, 1, 1, 3, 3};
  std::vector<std::string> merges = {"a b"};
  int bos = 3;
  int eos = 4;
  int add_bos = -1;  // -1: the key is left out
};

absl::StatusOr<std::unique_ptr<const Tokenizer>> Make(const Metadata& m) {
  GgufWriter writer;
  if (!m.model.empty()) writer.AddString("tokenizer.ggml.model", m.model);
  if (!m.pre.empty()) writer.AddString("tokenizer.ggml.pre", m.pre);
  if (!m.tokens.empty()) writer.AddStrings("tokenizer.ggml.tokens", m.tokens);
  if (!m.types.empty()) writer.AddInt32s("tokenizer.ggml.token_type", m.types);
  if (!m.merges.empty()) writer.AddStrings("tokenizer.ggml.merges", m.merges);
  if (m.bos >= 0) writer.AddUint32("tokenizer.ggml.bos_token_id", m.bos);
  if (m.eos >= 0) writer.AddUint32("tokenizer.ggml.eos_token_id", m.eos);
  if (m.add_bos >= 0) writer.AddBool("tokenizer.ggml.add_bos_token", m.add_bos != 0);
  const auto file =
      GgufFile::Open(nearfar::testing::WriteTestFile("tokenizer.gguf", writer.Finish()));
  if (!file.ok()) return file.status();
  return MakeTokenizer(**file);  // the file is gone when the tokenizer is used
}

void ExpectRefused(const Metadata& m, absl::StatusCode code, const char* message) {
  const auto tokenizer = Make(m);
  EXPECT_EQ(tokenizer.status().code(), code) << tokenizer.status();
  EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr(message));
}

TEST(MakeTokenizerTest, ReadsAFile) {
  const auto tokenizer = Make({});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  std::vector<int32_t> ids;
  (*tokenizer)->Encode("aab", false, &ids);
  EXPECT_THAT(ids, ElementsAre(0, 2));
  EXPECT_EQ((*tokenizer)->vocabulary(), 5);
  EXPECT_EQ((*tokenizer)->Bytes(2), "ab");
  EXPECT_TRUE((*tokenizer)->IsEndOfText(4));
}

TEST(MakeTokenizerTest, EveryPretokenizerCanBeAskedFor) {
  for (const Pretokenizer& pretokenizer : AllPretokenizers()) {
    Metadata m;
    m.pre = pretokenizer.name;
    EXPECT_TRUE(Make(m).ok()) << pretokenizer.name;
  }
}

TEST(MakeTokenizerTest, BeginIdFollowsTheFileAndElseTheFamily) {
  Metadata m;
  EXPECT_EQ((*Make(m))->begin_id(), -1);
  m.add_bos = 1;
  EXPECT_EQ((*Make(m))->begin_id(), 3);
  m.add_bos = 0;
  EXPECT_EQ((*Make(m))->begin_id(), -1);
  m.add_bos = -1;
  m.pre = "llama-bpe";
  EXPECT_EQ((*Make(m))->begin_id(), 3);
  m.bos = -1;
  EXPECT_EQ((*Make(m))->begin_id(), -1);
}

TEST(MakeTokenizerTest, WithoutPreItIsDefault) {
  Metadata m;
  m.tokens = {"a", "'", "s", "'s"};
  m.types.clear();
  m.merges = {"' s"};
  m.bos = m.eos = -1;
  m.pre.clear();
  std::vector<int32_t> ids;
  (*Make(m))->Encode("a's", false, &ids);
  EXPECT_THAT(ids, ElementsAre(0, 1, 2));
  m.pre = "gpt-2";
  ids.clear();
  (*Make(m))->Encode("a's", false, &ids);
  EXPECT_THAT(ids, ElementsAre(0, 3));
}

TEST(MakeTokenizerTest, UnknownKindsAreNamedWithTheKnownOnes) {
  Metadata m;
  m.model = "llama";
  ExpectRefused(m, absl::StatusCode::kUnimplemented,
                "\"llama\" is not known here; known: \"gpt2\"");
  m = Metadata();
  m.pre = "viking";
  ExpectRefused(m, absl::StatusCode::kUnimplemented, "\"viking\" is not known here; known:");
  ExpectRefused(m, absl::StatusCode::kUnimplemented, "\"smollm\", \"qwen2\", \"gpt-2\"");
}

// Counts alone: of empty texts there can be very many in a small file.
TEST(MakeTokenizerTest, CountsAreComparedBeforeAnythingIsLoaded) {
  Metadata m;
  m.tokens.assign(kMaxVocabulary + 1, "");
  ExpectRefused(m, absl::StatusCode::kInvalidArgument,
                "tokenizer.ggml.tokens: 1048577 tokens, at most 1048576");
  m = Metadata();
  m.types.assign(100000, 1);
  ExpectRefused(m, absl::StatusCode::kInvalidArgument,
                "tokenizer.ggml.token_type: 100000 types for 5 tokens");
}

TEST(MakeTokenizerTest, MissingAndMisfittingKeysAreInvalid) {
  Metadata m;
  m.model.clear();
  ExpectRefused(m, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.model");
  m = Metadata();
  m.tokens.clear();
  ExpectRefused(m, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.tokens");
  m = Metadata();
  m.merges.clear();
  ExpectRefused(m, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.merges");
  m = Metadata();
  m.types.pop_back();
  ExpectRefused(m, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.token_type");
  m = Metadata();
  m.merges.push_back("b a");
  ExpectRefused(m, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.merges[1]");
  m = Metadata();
  m.eos = 5;
  ExpectRefused(m, absl::StatusCode::kInvalidArgument, "tokenizer.ggml.eos_token_id");
}

}  // namespace
}  // namespace nearfar
