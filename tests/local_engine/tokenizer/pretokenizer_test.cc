// Holds local_engine/tokenizer/pretokenizer.h. The variants were compared with llama.cpp's splitter
// on random texts of all of Unicode; the cases here name what each rule is for.

#include "local_engine/tokenizer/pretokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

namespace nearfar {
namespace {

using testing::ElementsAre;

std::vector<std::string> Split(const char* name, std::string_view text) {
  const Pretokenizer* const pretokenizer = FindPretokenizer(name);
  if (pretokenizer == nullptr) return {"no such pre-tokenizer"};
  std::vector<std::string> pieces;
  size_t begin = 0;
  for (const size_t end : pretokenizer->Split(text)) {
    pieces.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return pieces;
}

TEST(PretokenizerTest, NamesAreUniqueAndFound) {
  std::set<std::string> names;
  for (const Pretokenizer& p : AllPretokenizers()) {
    EXPECT_TRUE(names.insert(p.name).second) << p.name;
    EXPECT_EQ(FindPretokenizer(p.name), &p);
    EXPECT_FALSE(p.passes.empty()) << p.name;
  }
  EXPECT_EQ(names, (std::set<std::string>{"default", "gpt-2", "llama-bpe", "qwen2", "smollm"}));
  EXPECT_EQ(FindPretokenizer("gpt"), nullptr);
}

TEST(PretokenizerTest, Words) {
  EXPECT_THAT(Split("gpt-2", "Hello world, it's 2024!"),
              ElementsAre("Hello", " world", ",", " it", "'s", " 2024", "!"));
  EXPECT_THAT(Split("smollm", "a 123b"), ElementsAre("a", " ", "1", "2", "3", "b"));
  EXPECT_THAT(Split("qwen2", "a 123b"), ElementsAre("a", " ", "1", "2", "3", "b"));
  EXPECT_THAT(Split("llama-bpe", "a 1234567b"), ElementsAre("a", " ", "123", "456", "7", "b"));
  EXPECT_THAT(Split("default", "a 1234567b"), ElementsAre("a", " ", "123", "456", "7", "b"));
}

TEST(PretokenizerTest, Contractions) {
  EXPECT_THAT(Split("gpt-2", "we'll WE'LL 'S"),
              ElementsAre("we", "'ll", " WE", "'", "LL", " '", "S"));
  EXPECT_THAT(Split("qwen2", "we'll WE'LL 'S"), ElementsAre("we", "'ll", " WE", "'LL", " '", "S"));
  EXPECT_THAT(Split("llama-bpe", "x'Vex"), ElementsAre("x", "'Ve", "x"));
  EXPECT_THAT(Split("qwen2", "'xy"), ElementsAre("'xy"));
  EXPECT_THAT(Split("default", "it's"), ElementsAre("it", "'", "s"));
}

TEST(PretokenizerTest, ARunOfSpacesLeavesOneToTheWord) {
  EXPECT_THAT(Split("gpt-2", "a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(Split("gpt-2", "a   "), ElementsAre("a", "   "));
  EXPECT_THAT(Split("gpt-2", "a \t\n b"), ElementsAre("a", " \t\n", " b"));
  EXPECT_THAT(Split("gpt-2", "a\tb"), ElementsAre("a", "\t", "b"));
  // The digit stands in a piece of its own, so the run before it sees the end of its piece.
  EXPECT_THAT(Split("smollm", "a   5"), ElementsAre("a", "   ", "5"));
  EXPECT_THAT(Split("qwen2", "a   5"), ElementsAre("a", "  ", " ", "5"));
}

TEST(PretokenizerTest, LineBreaks) {
  EXPECT_THAT(Split("qwen2", "a \n\n  b"), ElementsAre("a", " \n\n", " ", " b"));
  EXPECT_THAT(Split("qwen2", "a;\r\n\nb"), ElementsAre("a", ";\r\n\n", "b"));
  EXPECT_THAT(Split("qwen2", "a\tb\nc"), ElementsAre("a", "\tb", "\n", "c"));
  EXPECT_THAT(Split("llama-bpe", "a\n \n "), ElementsAre("a", "\n \n", " "));
  EXPECT_THAT(Split("gpt-2", "a;\nb"), ElementsAre("a", ";", "\n", "b"));
}

TEST(PretokenizerTest, PunctuationOfDefaultIsAPieceOfItsOwn) {
  EXPECT_THAT(Split("default", "a b,c $5 `x"),
              ElementsAre("a", " b", ",", "c", " ", "$", "5", " `", "x"));
  EXPECT_THAT(Split("default",
                    "12\xd9\xa3"
                    "456"),
              ElementsAre("12\xd9\xa3", "456"));
}

TEST(PretokenizerTest, OtherScripts) {
  EXPECT_THAT(Split("gpt-2", "\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x81"),
              ElementsAre("\xe4\xbd\xa0\xe5\xa5\xbd", "\xef\xbc\x81"));
  // A combining mark is no letter.
  EXPECT_THAT(Split("gpt-2", "e\xcc\x81x"), ElementsAre("e", "\xcc\x81", "x"));
  EXPECT_THAT(Split("qwen2", "e\xcc\x81x"), ElementsAre("e", "\xcc\x81x"));
  // U+3000 is whitespace, but only U+0020 joins a word.
  EXPECT_THAT(Split("gpt-2", "\xe3\x80\x80\xe3\x80\x80x"),
              ElementsAre("\xe3\x80\x80", "\xe3\x80\x80", "x"));
}

TEST(PretokenizerTest, BytesThatAreNotUtf8AreSymbols) {
  EXPECT_THAT(Split("gpt-2", "a\xff\xfe!b"), ElementsAre("a", "\xff\xfe!", "b"));
  EXPECT_THAT(Split("qwen2", " \x80\nb"), ElementsAre(" \x80\n", "b"));
}

class EachPretokenizerTest : public testing::TestWithParam<Pretokenizer> {};

TEST_P(EachPretokenizerTest, PiecesCoverTheText) {
  std::mt19937 random(11);
  const std::vector<std::string> parts = {"a",        "B",        "1",
                                          " ",        "\n",       "\r",
                                          "\t",       "'s",       "'",
                                          "!",        "$",        "\xc3\xa9",
                                          "\xcc\x81", "\xff",     "\xe4\xbd\xa0",
                                          "\xc2\xa0", "\xc2\xb2", "\xf0\x9f\x98\x80"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = random() % 40; i > 0; --i) text += parts[random() % parts.size()];
    size_t begin = 0;
    for (const size_t end : GetParam().Split(text)) {
      ASSERT_LT(begin, end) << "an empty piece";
      begin = end;
    }
    ASSERT_EQ(begin, text.size());
  }
}

INSTANTIATE_TEST_SUITE_P(All, EachPretokenizerTest,
                         testing::ValuesIn(AllPretokenizers().begin(), AllPretokenizers().end()),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace nearfar
