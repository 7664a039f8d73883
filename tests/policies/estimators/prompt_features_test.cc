#include "policies/estimators/prompt_features.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

namespace nearfar {
namespace {

PromptSignals Features(std::string_view text) {
  PromptSignals signals;
  FillPromptFeatures(text, &signals);
  return signals;
}

double Value(const PromptSignals& signals, std::string_view name) {
  for (size_t i = 0; i < PromptFeatureNames().size(); ++i) {
    if (name == PromptFeatureNames()[i]) return signals.dense[i];
  }
  ADD_FAILURE() << "no feature " << name;
  return 0;
}

TEST(PromptFeatures, NamesAreUniqueAndMatchTheValues) {
  std::set<std::string> names;
  for (const char* name : PromptFeatureNames()) EXPECT_TRUE(names.insert(name).second) << name;
  for (const char* text : {"", "a", "What is 2+2?", "\xff\xfe", "中文"}) {
    const PromptSignals signals = Features(text);
    EXPECT_EQ(signals.dense.size(), PromptFeatureNames().size()) << text;
    for (double value : signals.dense) EXPECT_TRUE(std::isfinite(value)) << text;
  }
}

TEST(PromptFeatures, NumbersAndOperators) {
  const PromptSignals s = Features("What is 12345 + 67 * 1,000.5?");
  EXPECT_NEAR(Value(s, "numbers"), std::log1p(3), 1e-9);
  EXPECT_NEAR(Value(s, "number_digits"), std::log1p(12), 1e-9);
  EXPECT_EQ(Value(s, "longest_number"), 5);
  EXPECT_NEAR(Value(s, "decimals"), std::log1p(1), 1e-9);
  EXPECT_NEAR(Value(s, "plus_minus"), std::log1p(1), 1e-9);
  EXPECT_NEAR(Value(s, "times_divide"), std::log1p(1), 1e-9);
  EXPECT_EQ(Value(s, "question_mark"), 1);
  EXPECT_EQ(Value(s, "ask_what"), 1);
  EXPECT_EQ(Value(s, "ask_translate"), 0);
}

TEST(PromptFeatures, ShapesOfText) {
  const PromptSignals s = Features("Hello World\nfoo");
  EXPECT_NEAR(Value(s, "log_bytes"), std::log1p(15), 1e-9);
  EXPECT_NEAR(Value(s, "log_words"), std::log1p(3), 1e-9);
  EXPECT_NEAR(Value(s, "log_lines"), std::log1p(2), 1e-9);
  EXPECT_NEAR(Value(s, "capitalised_rate"), 2.0 / 3, 1e-9);
  EXPECT_NEAR(Value(s, "upper_rate"), 2.0 / 13, 1e-9);
  EXPECT_EQ(Value(s, "non_ascii_rate"), 0);
  EXPECT_EQ(s.bytes, 15);
}

TEST(PromptFeatures, CuesOfTwoWords) {
  EXPECT_EQ(Value(Features("How many legs has a spider"), "ask_how_many"), 1);
  EXPECT_EQ(Value(Features("How are there many"), "ask_how_many"), 0);
  EXPECT_EQ(Value(Features("say it in German please"), "ask_translate"), 1);
}

TEST(PromptFeatures, Code) {
  EXPECT_TRUE(Features("fix this:\n```\nint x;\n```").has_code);
  EXPECT_TRUE(Features("def f(x):\n  return x == 1").has_code);
  EXPECT_FALSE(Features("Write a Python function that adds two numbers").has_code);
  EXPECT_EQ(Value(Features("Write a Python function"), "ask_code"), 1);
  EXPECT_FALSE(Features("What is the capital of France?").has_code);
}

TEST(PromptFeatures, HashedHasUnitNormRisingBucketsAndIsStable) {
  const PromptSignals s = Features("the quick brown fox and the quick red fox");
  double norm = 0;
  for (size_t i = 0; i < s.hashed.size(); ++i) {
    EXPECT_LT(s.hashed[i].first, 1u << kPromptHashBits);
    if (i > 0) {
      EXPECT_GT(s.hashed[i].first, s.hashed[i - 1].first);
    }
    norm += double{s.hashed[i].second} * s.hashed[i].second;
  }
  EXPECT_NEAR(norm, 1, 1e-5);
  // Calibrations are bound to these buckets: a change of the hash must raise kFeatureVersion.
  const PromptSignals one = Features("a");
  ASSERT_EQ(one.hashed.size(), 2u);
  EXPECT_EQ(kFeatureVersion, 1);
  EXPECT_EQ(one.hashed[0].first, 7768u);
  EXPECT_EQ(one.hashed[1].first, 59614u);
}

TEST(PromptFeatures, HashIgnoresCase) {
  EXPECT_EQ(Features("Grüße AUS Wien").hashed, Features("grüße aus wien").hashed);
}

TEST(PromptFeatures, LongPromptsStayCheap) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "word" + std::to_string(i % 977) + " ";
  const PromptSignals s = Features(text);
  EXPECT_EQ(s.bytes, static_cast<int64_t>(text.size()));
  EXPECT_LT(s.hashed.size(), size_t{1} << kPromptHashBits);
  EXPECT_EQ(Features(std::string(1 << 20, 'x')).dense.size(), PromptFeatureNames().size());
}

TEST(GuessLanguage, ByWordsAndByScript) {
  const struct {
    const char* text;
    const char* language;
  } kCases[] = {
      {"What is the capital of France?", "en"},
      {"Translate this sentence into German: the weather is nice", "en"},
      {"Was ist die Hauptstadt von Frankreich?", "de"},
      {"Wie viele Tage hat ein Jahr?", "de"},
      {"Quelle est la capitale de la France ?", "fr"},
      {"Combien de jours dans une année ?", "fr"},
      {"¿Cuál es la capital de Francia?", "es"},
      {"¿Cuántos días tiene un año?", "es"},
      {"Qual è la capitale della Francia?", "it"},
      {"Qual é a capital da França e quantos são os seus rios?", "pt"},
      {"Wat is de hoofdstad van Frankrijk?", "nl"},
      {"Vad är huvudstaden i Frankrike och hur många bor där?", "sv"},
      {"Jaka jest stolica Francji i ile ma lat?", "pl"},
      {"Fransa'nın başkenti nedir ve kaç kişi var?", "tr"},
      {"Какая столица Франции?", "ru"},
      {"Яка столиця Франції?", "uk"},
      {"法国的首都是哪里？", "zh"},
      {"フランスの首都はどこですか？", "ja"},
      {"프랑스의 수도는 어디입니까?", "ko"},
      {"ما هي عاصمة فرنسا؟", "ar"},
      {"پایتخت فرانسه چیست؟", "fa"},
      {"Ποια είναι η πρωτεύουσα της Γαλλίας;", "el"},
      {"מהי בירת צרפת?", "he"},
      {"फ्रांस की राजधानी क्या है?", "hi"},
      {"เมืองหลวงของฝรั่งเศสคืออะไร", "th"},
      {"Explain 中国 in one sentence for my students", "en"},
      {"", ""},
      {"12 + 30 = ?", ""},
      {"xyzzy", ""},
  };
  std::set<std::string> told;
  for (const auto& c : kCases) {
    EXPECT_EQ(GuessLanguage(c.text), c.language) << c.text;
    if (*c.language != '\0') told.insert(c.language);
  }
  EXPECT_EQ(told, std::set<std::string>(KnownLanguages().begin(), KnownLanguages().end()));
}

}  // namespace
}  // namespace nearfar
