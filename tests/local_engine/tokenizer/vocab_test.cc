// Holds local_engine/tokenizer/vocab.h: what is refused and how the message names it, and what the
// tables say.

#include "local_engine/tokenizer/vocab.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace nearfar {
namespace {

using testing::HasSubstr;

// Ids: 0 a, 1 b, 2 ab, 3 a space and b (the alphabet's U+0120), 4 the byte 0xe9, 5 control, 6 user-
// defined, 7 unused.
VocabSource Small() {
  VocabSource source;
  source.tokens = {"a", "b", "ab", "\u0120b", "\u00e9", "<end>", "<tool \u00e9>", "[PAD]"};
  source.types = {1, 1, 1, 1, 1, 3, 4, 5};
  source.merges = {"a b"};
  source.end_id = 5;
  return source;
}

void ExpectRefused(const VocabSource& source, const char* message) {
  const absl::StatusOr<Vocab> vocab = Vocab::Create(source);
  EXPECT_EQ(vocab.status().code(), absl::StatusCode::kInvalidArgument) << message;
  EXPECT_THAT(std::string(vocab.status().message()), HasSubstr(message));
}

TEST(VocabTest, TellsBytesAndMerges) {
  absl::StatusOr<Vocab> made = Vocab::Create(Small());
  ASSERT_TRUE(made.ok()) << made.status();
  const Vocab vocab = *std::move(made);  // views must survive the move
  EXPECT_EQ(vocab.size(), 8);
  EXPECT_EQ(vocab.Bytes(2), "ab");
  EXPECT_EQ(vocab.Bytes(3), " b");
  EXPECT_EQ(vocab.Bytes(4), "\xe9");
  EXPECT_EQ(vocab.Bytes(5), "");
  EXPECT_EQ(vocab.Bytes(6), "<tool \xc3\xa9>");
  EXPECT_EQ(vocab.Bytes(7), "");
  EXPECT_EQ(vocab.ByteToken('a'), 0);
  EXPECT_EQ(vocab.ByteToken(0xe9), 4);
  EXPECT_EQ(vocab.ByteToken('z'), -1);
  EXPECT_EQ(vocab.FindNormal(" b"), 3);
  EXPECT_EQ(vocab.FindNormal("<end>"), -1);
  ASSERT_NE(vocab.FindMerge(0, 1), nullptr);
  EXPECT_EQ(vocab.FindMerge(0, 1)->result, 2);
  EXPECT_EQ(vocab.FindMerge(1, 0), nullptr);
}

TEST(VocabTest, TellsSpecials) {
  const absl::StatusOr<Vocab> vocab = Vocab::Create(Small());
  ASSERT_TRUE(vocab.ok()) << vocab.status();
  ASSERT_EQ(vocab->specials().size(), 2u);
  EXPECT_FALSE(vocab->specials()[0].plain);
  EXPECT_TRUE(vocab->specials()[1].plain);
  EXPECT_EQ(vocab->FindControl("<end>"), 5);
  EXPECT_EQ(vocab->FindControl("<tool \u00e9>"), -1);
  EXPECT_EQ(vocab->FindControl("ab"), -1);
  EXPECT_TRUE(vocab->IsEndOfText(5));
  EXPECT_FALSE(vocab->IsEndOfText(6));
  EXPECT_FALSE(vocab->IsEndOfText(-1));
  EXPECT_EQ(vocab->begin_id(), -1);
}

TEST(VocabTest, BeginIsOnlyUsedWhereTheFileSaysSo) {
  VocabSource source = Small();
  source.begin_id = 5;
  EXPECT_EQ(Vocab::Create(source)->begin_id(), -1);
  source.adds_begin = true;
  EXPECT_EQ(Vocab::Create(source)->begin_id(), 5);
  source.begin_id = -1;
  ExpectRefused(source, "tokenizer.ggml.add_bos_token");
}

TEST(VocabTest, ATextThatEndsATurnIsControlWhateverItsType) {
  VocabSource source = Small();
  source.tokens[7] = "<|im_end|>";
  source.types[7] = 1;
  const absl::StatusOr<Vocab> vocab = Vocab::Create(source);
  ASSERT_TRUE(vocab.ok()) << vocab.status();
  EXPECT_EQ(vocab->type(7), TokenType::kControl);
  EXPECT_EQ(vocab->Bytes(7), "");
  EXPECT_TRUE(vocab->IsEndOfText(7));
  EXPECT_TRUE(vocab->IsEndOfText(5));
}

// With any of these types a plain text would be encoded as the token.
TEST(VocabTest, WhatPromptsAreBuiltWithIsControlWhateverItsType) {
  for (const int64_t type : {1, 4, 5}) {
    VocabSource source = Small();
    source.tokens[7] = "<|im_start|>";
    source.types[5] = source.types[6] = source.types[7] = type;
    source.begin_id = 6;
    source.adds_begin = true;
    const absl::StatusOr<Vocab> vocab = Vocab::Create(source);
    ASSERT_TRUE(vocab.ok()) << vocab.status();
    for (const int32_t id : {5, 6, 7}) {
      EXPECT_EQ(vocab->type(id), TokenType::kControl) << id;
      EXPECT_EQ(vocab->FindControl(source.tokens[id]), id);
      EXPECT_EQ(vocab->FindNormal(source.tokens[id]), -1);
    }
  }
}

TEST(VocabTest, MergesMayStandInAnyOrder) {
  VocabSource source;
  source.tokens = {"a", "b", "c", "ab", "bc"};
  for (const bool in_order : {true, false}) {
    source.merges = in_order ? std::vector<std::string_view>{"a b", "b c"}
                             : std::vector<std::string_view>{"b c", "a b"};
    const Vocab vocab = Vocab::Create(source).value();
    ASSERT_NE(vocab.FindMerge(0, 1), nullptr);
    ASSERT_NE(vocab.FindMerge(1, 2), nullptr);
    EXPECT_EQ(vocab.FindMerge(0, 1)->result, 3);
    EXPECT_EQ(vocab.FindMerge(0, 1)->rank, in_order ? 0 : 1);
    EXPECT_EQ(vocab.FindMerge(1, 2)->result, 4);
    EXPECT_EQ(vocab.FindMerge(1, 2)->rank, in_order ? 1 : 0);
  }
}

// The merges of Qwen2.5 join "</s" and ">", though its file gives the joined token no type.
TEST(VocabTest, MergesDoNotMakeWhatIsControl) {
  VocabSource source;
  source.tokens = {"</", "s", ">", "</s", "</s>"};
  source.merges = {"</ s", "</s >"};
  const absl::StatusOr<Vocab> vocab = Vocab::Create(source);
  ASSERT_TRUE(vocab.ok()) << vocab.status();
  EXPECT_EQ(vocab->FindControl("</s>"), 4);
  EXPECT_NE(vocab->FindMerge(0, 1), nullptr);
  EXPECT_EQ(vocab->FindMerge(3, 2), nullptr);
  source.end_id = 3;
  EXPECT_EQ(Vocab::Create(source)->FindMerge(0, 1), nullptr);
}

TEST(VocabTest, WithoutTypesAllAreNormal) {
  VocabSource source = Small();
  source.types.clear();
  source.end_id = -1;
  const absl::StatusOr<Vocab> vocab = Vocab::Create(source);
  ASSERT_TRUE(vocab.ok()) << vocab.status();
  EXPECT_TRUE(vocab->specials().empty());
  EXPECT_EQ(vocab->Bytes(7), "[PAD]");
}

TEST(VocabTest, EmptyTextsOnlyTakeTheirPlace) {
  VocabSource source = Small();
  source.tokens[6] = source.tokens[7] = "";
  const absl::StatusOr<Vocab> vocab = Vocab::Create(source);
  ASSERT_TRUE(vocab.ok()) << vocab.status();
  EXPECT_EQ(vocab->size(), 8);
  EXPECT_EQ(vocab->Bytes(7), "");
}

TEST(VocabTest, RefusesWhatDoesNotFit) {
  ExpectRefused({}, "tokenizer.ggml.tokens: 0 tokens");

  VocabSource source = Small();
  source.types.pop_back();
  ExpectRefused(source, "tokenizer.ggml.token_type: 7 types for 8 tokens");

  source = Small();
  source.types[3] = 9;
  ExpectRefused(source, "tokenizer.ggml.token_type[3]: unknown type 9");
  source.types[3] = -1;
  ExpectRefused(source, "tokenizer.ggml.token_type[3]");

  source = Small();
  source.tokens[7] = "ab";
  ExpectRefused(source, "tokenizer.ggml.tokens[7]: the same text as token 2");
}

TEST(VocabTest, RefusesSpecialTextsWithoutEnd) {
  const std::string text(kMaxSpecialBytes + 1, 'x');
  for (const int64_t type : {2, 3, 4}) {
    VocabSource source = Small();
    source.tokens[6] = std::string_view(text).substr(1);
    source.types[6] = type;
    EXPECT_TRUE(Vocab::Create(source).ok());
    source.tokens[6] = text;
    ExpectRefused(source, "tokenizer.ggml.tokens[6]: a special token of 257 bytes");
  }
}

// "<" and "end>" are words, "<end>" is not: joined, a plain text would become the control token.
TEST(VocabTest, RefusesMergesOfWhatIsNotNormal) {
  for (const int64_t type : {2, 3, 4, 5}) {
    const struct {
      std::vector<std::string_view> tokens;
      const char* merge;
      const char* message;
    } kCases[] = {
        {{"X", "b", "Xb"}, "X b", "merges[0]: the left text is no normal token"},
        {{"X", "b", "bX"}, "b X", "merges[0]: the right text is no normal token"},
        {{"X", "<", ">", "<>"}, "< >", "merges[0]: the joined text is no normal token"},
    };
    for (const auto& c : kCases) {
      VocabSource source;
      source.tokens = c.tokens;
      source.types.assign(c.tokens.size(), 1);
      source.types[c.merge == std::string_view("< >") ? 3 : 0] = type;
      source.merges = {c.merge};
      ExpectRefused(source, c.message);
    }
  }
}

TEST(VocabTest, RefusesMalformedMerges) {
  const struct {
    const char* merge;
    const char* message;
  } kCases[] = {
      {"", "merges[1]: not two texts"},       {"ab", "merges[1]: not two texts"},
      {"a ", "merges[1]: not two texts"},     {" b", "merges[1]: not two texts"},
      {" ", "merges[1]: not two texts"},      {"x b", "merges[1]: the left text"},
      {"a x", "merges[1]: the right text"},   {"b a", "merges[1]: the joined text"},
      {"a b b", "merges[1]: the right text"},
  };
  for (const auto& c : kCases) {
    VocabSource source = Small();
    source.merges.push_back(c.merge);
    ExpectRefused(source, c.message);
  }
}

TEST(VocabTest, RefusesSpecialIdsOutsideTheVocabulary) {
  for (const int64_t id : {int64_t{8}, int64_t{-2}, int64_t{1} << 40}) {
    VocabSource source = Small();
    source.begin_id = id;
    ExpectRefused(source, "tokenizer.ggml.bos_token_id");
    source = Small();
    source.end_id = id;
    ExpectRefused(source, "tokenizer.ggml.eos_token_id");
    source = Small();
    source.end_of_turn_id = id;
    ExpectRefused(source, "tokenizer.ggml.eot_token_id");
  }
}

}  // namespace
}  // namespace nearfar
