// Holds local_engine/tokenizer/special_tokens.h.

#include "local_engine/tokenizer/special_tokens.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nearfar {
namespace {

Vocab MakeVocab(const std::vector<std::pair<std::string_view, int>>& specials) {
  VocabSource source;
  for (const auto& [text, type] : specials) {
    source.tokens.push_back(text);
    source.types.push_back(type);
  }
  return *Vocab::Create(source);
}

// What is found, written as "begin:id ".
std::string Found(const Vocab& vocab, std::string_view text, bool parse_special) {
  std::string found;
  for (const SpecialMatch& match : SpecialTokens(vocab).Find(text, parse_special)) {
    EXPECT_EQ(match.end - match.begin, vocab.specials()[match.id].text.size());
    found += std::to_string(match.begin) + ":" + std::to_string(match.id) + " ";
  }
  return found;
}

TEST(SpecialTokensTest, ControlTokensOnlyWhereAskedFor) {
  const Vocab vocab = MakeVocab({{"<|end|>", 3}, {"<unk>", 2}, {"<tool>", 4}});
  EXPECT_EQ(Found(vocab, "a<|end|><tool><unk>", true), "1:0 8:2 14:1 ");
  EXPECT_EQ(Found(vocab, "a<|end|><tool><unk>", false), "8:2 ");
  EXPECT_EQ(Found(vocab, "a<|end|", true), "");
  EXPECT_EQ(Found(vocab, "", true), "");
}

TEST(SpecialTokensTest, TheLongestComesFirst) {
  const Vocab vocab = MakeVocab({{"ab", 3}, {"bcd", 3}, {"abc", 4}});
  EXPECT_EQ(Found(vocab, "abcd", true), "1:1 ");  // of two equally long ones the lower id
  EXPECT_EQ(Found(vocab, "abc", true), "0:2 ");
  EXPECT_EQ(Found(vocab, "xbcdab", true), "1:1 4:0 ");
}

// The plain definition: one token after the other, longest first, lower id first among equals; each
// takes from left to right what is still free.
std::string Reference(const Vocab& vocab, std::string_view text) {
  std::vector<const Vocab::Special*> order;
  for (const Vocab::Special& special : vocab.specials()) order.push_back(&special);
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return a->text.size() > b->text.size(); });
  std::vector<int> owner(text.size(), -1);
  std::vector<int> begins(text.size(), -1);
  for (const Vocab::Special* special : order) {
    for (size_t at = 0; at + special->text.size() <= text.size(); ++at) {
      bool fits = text.compare(at, special->text.size(), special->text) == 0;
      for (size_t i = 0; fits && i < special->text.size(); ++i) fits = owner[at + i] < 0;
      if (!fits) continue;
      for (size_t i = 0; i < special->text.size(); ++i) owner[at + i] = special->id;
      begins[at] = special->id;
    }
  }
  std::string found;
  for (size_t i = 0; i < text.size(); ++i) {
    if (begins[i] >= 0) found += std::to_string(i) + ":" + std::to_string(begins[i]) + " ";
  }
  return found;
}

// Bounded work where the vocabulary and the text are made for each other: candidates of a place are
// looked at one at a time, and what cannot be found is not looked for.
TEST(SpecialTokensTest, NestedTokensAreChosenFromTheLongestOn) {
  std::vector<std::string> texts;
  for (size_t length = 1; length <= kMaxSpecialBytes; ++length) texts.emplace_back(length, 'a');
  std::vector<std::pair<std::string_view, int>> specials;
  for (const std::string& text : texts) specials.emplace_back(text, 4);
  const Vocab vocab = MakeVocab(specials);
  const std::string text(64 * 1024 + 5, 'a');
  const std::vector<SpecialMatch> found = SpecialTokens(vocab).Find(text, false);
  ASSERT_EQ(found.size(), 257u);
  for (size_t i = 0; i < 256; ++i) {
    EXPECT_EQ(found[i].begin, 256 * i);
    EXPECT_EQ(found[i].id, 255);
  }
  EXPECT_EQ(found[256].id, 4) << "the five that are left";
}

TEST(SpecialTokensTest, AgreesWithThePlainDefinition) {
  const Vocab vocab =
      MakeVocab({{"ab", 3}, {"ba", 4}, {"aab", 3}, {"abba", 3}, {"c", 3}, {"bcb", 4}, {"aa", 3}});
  std::mt19937 random(3);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = random() % 25; i > 0; --i) text += static_cast<char>('a' + random() % 4);
    ASSERT_EQ(Found(vocab, text, true), Reference(vocab, text)) << text;
  }
}

// Every vocabulary of up to eight texts over two letters may come by.
TEST(SpecialTokensTest, AgreesWithThePlainDefinitionForAnyVocabulary) {
  std::mt19937 random(11);
  const auto draw = [&](int longest) {
    std::string text;
    for (int i = 1 + static_cast<int>(random() % longest); i > 0; --i) {
      text += random() % 2 == 0 ? 'a' : '\xff';
    }
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    std::set<std::string> texts;
    for (int i = 0; i < 8; ++i) texts.insert(draw(6));
    std::vector<std::string> shuffled(texts.begin(), texts.end());
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    std::vector<std::pair<std::string_view, int>> specials;
    for (const std::string& text : shuffled) specials.emplace_back(text, 3);
    const Vocab vocab = MakeVocab(specials);
    const std::string text = draw(40);
    ASSERT_EQ(Found(vocab, text, true), Reference(vocab, text)) << text;
    ASSERT_EQ(Found(vocab, text, false), "");
  }
}

}  // namespace
}  // namespace nearfar
