// Holds local_engine/tokenizer/bpe_tokenizer.h on the tiny vocabulary: merges against the plain
// definition, bytes that come back, and work that grows with the text and no faster.

#include "local_engine/tokenizer/bpe_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/testing/tiny_model.h"

namespace nearfar {
namespace {

using nearfar::testing::TheTinyVocabulary;
using ::testing::ElementsAre;

// The tiny vocabulary with a user-defined token behind it.
Vocab TinyVocab() {
  const auto& tiny = TheTinyVocabulary();
  VocabSource source;
  source.tokens.assign(tiny.tokens.begin(), tiny.tokens.end());
  source.types.assign(tiny.types.begin(), tiny.types.end());
  source.merges.assign(tiny.merges.begin(), tiny.merges.end());
  source.end_id = tiny.im_end;
  source.tokens.push_back("<tool_call>");
  source.types.push_back(4);
  return *Vocab::Create(source);
}

int32_t Id(std::string_view bytes) {
  static const Vocab* const kVocab = new Vocab(TinyVocab());
  return kVocab->FindNormal(bytes);
}

std::unique_ptr<const Tokenizer> Tiny(const char* pretokenizer = "gpt-2") {
  return NewBpeTokenizer(TinyVocab(), *FindPretokenizer(pretokenizer));
}

std::vector<int32_t> Encode(const Tokenizer& tokenizer, std::string_view text,
                            bool parse_special = false) {
  std::vector<int32_t> ids;
  tokenizer.Encode(text, parse_special, &ids);
  return ids;
}

std::string BytesOf(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string bytes;
  for (const int32_t id : ids) bytes += tokenizer.Bytes(id);
  return bytes;
}

// The definition: again and again the pair of the lowest rank, the leftmost of equals.
std::vector<int32_t> PlainMerge(const Vocab& vocab, std::string_view piece) {
  std::vector<int32_t> ids;
  for (const char c : piece) ids.push_back(vocab.ByteToken(static_cast<uint8_t>(c)));
  while (true) {
    size_t best = ids.size();
    const Vocab::Merge* merge = nullptr;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const Vocab::Merge* const here = vocab.FindMerge(ids[i], ids[i + 1]);
      if (here == nullptr || (merge != nullptr && merge->rank <= here->rank)) continue;
      best = i;
      merge = here;
    }
    if (merge == nullptr) return ids;
    ids[best] = merge->result;
    ids.erase(ids.begin() + best + 1);
  }
}

TEST(BpeMergerTest, AgreesWithThePlainDefinition) {
  const Vocab vocab = TinyVocab();
  BpeMerger merger(vocab);
  std::mt19937 random(5);
  const std::string letters = "theinragdolsu =1 2";
  for (int round = 0; round < 5000; ++round) {
    std::string piece;
    for (int i = random() % 30; i > 0; --i) piece += letters[random() % letters.size()];
    std::vector<int32_t> ids;
    merger.Encode(piece, &ids);
    ASSERT_EQ(ids, PlainMerge(vocab, piece)) << piece;
  }
}

TEST(BpeMergerTest, WorkGrowsWithThePiece) {
  const Vocab vocab = TinyVocab();
  for (const std::string_view unit : {"=", " ", "the", "hello", "tththe"}) {
    for (const size_t n : {100u, 10000u, 1000000u}) {
      std::string piece;
      while (piece.size() < n) piece += unit;
      BpeMerger merger(vocab);
      std::vector<int32_t> ids;
      merger.Encode(piece, &ids);
      EXPECT_FALSE(ids.empty());
      EXPECT_LE(merger.candidates(), static_cast<int64_t>(3 * piece.size())) << unit;
    }
  }
}

TEST(BpeMergerTest, LeavesOutBytesThatTheVocabularyLacks) {
  VocabSource source;
  source.tokens = {"a", "b", "ab"};
  source.merges = {"a b"};
  const Vocab vocab = *Vocab::Create(source);
  BpeMerger merger(vocab);
  std::vector<int32_t> ids;
  merger.Encode("abxab", &ids);
  EXPECT_THAT(ids, ElementsAre(2, 2));
  ids.clear();
  merger.Encode("axb", &ids);  // what is left out still stands between its neighbours
  EXPECT_THAT(ids, ElementsAre(0, 1));
}

TEST(BpeTokenizerTest, MergesStayInsideAPiece) {
  const auto tokenizer = Tiny();
  EXPECT_THAT(Encode(*tokenizer, "the the"), ElementsAre(Id("the"), Id(" "), Id("the")));
  EXPECT_THAT(Encode(*tokenizer, "hello  user"),
              ElementsAre(Id("hello"), Id(" "), Id(" "), Id("user")));
  EXPECT_THAT(Encode(*tokenizer, "12"), ElementsAre(Id("12")));
  EXPECT_THAT(Encode(*Tiny("smollm"), "12"), ElementsAre(Id("1"), Id("2")));
  EXPECT_TRUE(Encode(*tokenizer, "").empty());
}

TEST(BpeTokenizerTest, LlamaTakesAWholePieceWithoutMerging) {
  // A token that no merge makes: only a whole piece can be it.
  VocabSource source;
  source.tokens = {"a", "b", "c", "abc", "ab"};
  source.merges = {"a b"};
  const auto whole = NewBpeTokenizer(*Vocab::Create(source), *FindPretokenizer("llama-bpe"));
  EXPECT_THAT(Encode(*whole, "abc"), ElementsAre(3));
  EXPECT_THAT(Encode(*whole, "abca"), ElementsAre(4, 2, 0));
  const auto merged = NewBpeTokenizer(*Vocab::Create(source), *FindPretokenizer("qwen2"));
  EXPECT_THAT(Encode(*merged, "abc"), ElementsAre(4, 2));
}

TEST(BpeTokenizerTest, SpecialTextIsPlainUnlessAskedFor) {
  const auto tokenizer = Tiny();
  const auto& tiny = TheTinyVocabulary();
  const std::string text = "a<|im_end|>b";
  EXPECT_THAT(Encode(*tokenizer, text, true), ElementsAre(Id("a"), tiny.im_end, Id("b")));
  const std::vector<int32_t> plain = Encode(*tokenizer, text);
  EXPECT_THAT(plain, ::testing::Not(::testing::Contains(tiny.im_end)));
  EXPECT_EQ(BytesOf(*tokenizer, plain), text);
  // A user-defined token is a word like any other.
  EXPECT_THAT(Encode(*tokenizer, "a<tool_call>"), ElementsAre(Id("a"), tiny.im_end + 1));
}

TEST(BpeTokenizerTest, TellsItsSpecials) {
  const auto tokenizer = Tiny();
  const auto& tiny = TheTinyVocabulary();
  EXPECT_EQ(tokenizer->vocabulary(), static_cast<int>(tiny.tokens.size()) + 1);
  EXPECT_EQ(tokenizer->FindControl("<|im_start|>"), tiny.im_start);
  EXPECT_EQ(tokenizer->FindControl("<tool_call>"), -1);
  EXPECT_EQ(tokenizer->FindControl("nothing"), -1);
  EXPECT_TRUE(tokenizer->IsEndOfText(tiny.im_end));
  EXPECT_TRUE(tokenizer->IsEndOfText(tiny.end_of_text));
  EXPECT_FALSE(tokenizer->IsEndOfText(tiny.im_start));
  EXPECT_EQ(tokenizer->Bytes(tiny.im_start), "");
  EXPECT_EQ(tokenizer->Bytes(-1), "");
  EXPECT_EQ(tokenizer->Bytes(tokenizer->vocabulary()), "");
}

TEST(BpeTokenizerTest, AnyBytesComeBack) {
  std::mt19937 random(9);
  for (const Pretokenizer& pretokenizer : AllPretokenizers()) {
    const auto tokenizer = Tiny(pretokenizer.name);
    for (int round = 0; round < 500; ++round) {
      std::string text;
      for (int i = random() % 60; i > 0; --i) {
        text += static_cast<char>(random() % 3 == 0 ? random() % 256 : ' ' + random() % 95);
      }
      ASSERT_EQ(BytesOf(*tokenizer, Encode(*tokenizer, text)), text) << pretokenizer.name;
    }
  }
}

}  // namespace
}  // namespace nearfar
