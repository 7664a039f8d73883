#include "policies/detectors/keywords.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace nearfar {
namespace {

using Words = std::vector<std::string>;

TEST(Keywords, WholeWordsInAnyCase) {
  const KeywordScanner scanner({"password", "Geheim"});
  EXPECT_EQ(scanner.Find("My PASSWORD, please"), Words{"password"});
  EXPECT_EQ(scanner.Find("passwords are not it"), Words{});
  EXPECT_EQ(scanner.Find("mypassword"), Words{});
  EXPECT_EQ(scanner.Find("password_2"), Words{});
  EXPECT_EQ(scanner.Find("(geheim)"), Words{"Geheim"});
  EXPECT_EQ(scanner.Find("password geheim"), (Words{"password", "Geheim"}));
  EXPECT_EQ(scanner.Find(""), Words{});
}

TEST(Keywords, CaseBeyondAscii) {
  const KeywordScanner scanner({"straße", "пароль", "contraseña"});
  EXPECT_EQ(scanner.Find("ПАРОЛЬ: x"), Words{"пароль"});
  EXPECT_EQ(scanner.Find("Mi CONTRASEÑA."), Words{"contraseña"});
  EXPECT_EQ(scanner.Find("straßenbahn"), Words{});
}

TEST(Keywords, PhrasesAndPunctuation) {
  const KeywordScanner scanner({"top  secret", "c++", "#42", " "});
  EXPECT_EQ(scanner.Find("This is TOP\n\tsecret."), Words{"top  secret"});
  EXPECT_EQ(scanner.Find("stop secret"), Words{});
  EXPECT_EQ(scanner.Find("I like C++, you?"), Words{"c++"});
  EXPECT_EQ(scanner.Find("c++17"), Words{"c++"});  // '+' is no letter: the word ends there
  EXPECT_EQ(scanner.Find("abc++"), Words{});
  EXPECT_EQ(scanner.Find("issue #42!"), Words{"#42"});
  EXPECT_EQ(scanner.Find("issue #421"), Words{});
}

TEST(Keywords, NothingInvisibleHidesAWord) {
  const KeywordScanner scanner({"password", "contraseña", "e-mail"});
  for (const char* text :
       {"pass\u200bword", "pass\u00adword", "password\u200d", "\u200epassword", "\ufeffpassword",
        "p\u2060assword", "ｐａｓｓｗｏｒｄ", "PASSWORD\ufe0f"}) {
    EXPECT_EQ(scanner.Find(text), Words{"password"}) << text;
  }
  EXPECT_EQ(scanner.Find("mi contrasen\u0303a"), Words{"contraseña"});
  EXPECT_EQ(scanner.Find("MI CONTRASEN\u0303A"), Words{"contraseña"});
  EXPECT_EQ(scanner.Find("contrasena"), Words{});
  EXPECT_EQ(scanner.Find("an e\u2011mail"), Words{"e-mail"});
  EXPECT_EQ(KeywordScanner({"contrasen\u0303a"}).Find("contraseña").size(), 1u);
}

TEST(Keywords, ScriptsWithoutSpaces) {
  const KeywordScanner scanner({"密码", "パスワード"});
  EXPECT_EQ(scanner.Find("我的密码是什么"), Words{"密码"});
  EXPECT_EQ(scanner.Find("このパスワードは"), Words{"パスワード"});
}

TEST(Keywords, OverlappingOnesAreAllFound) {
  const KeywordScanner scanner({"a b", "b", "a b c", "b c"});
  EXPECT_EQ(scanner.Find("x a b c"), (Words{"a b", "b", "a b c", "b c"}));
  EXPECT_EQ(scanner.Find("xa b"), Words{"b"});
}

// Every keyword looked for by itself, with the rule of edges written anew for ASCII.
bool FoundPlainly(const std::string& text, const std::string& word) {
  const auto joins = [](char c) { return c == 'a' || c == 'b'; };
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const bool left = at == 0 || !joins(text[at - 1]) || !joins(word.front());
    const size_t end = at + word.size();
    const bool right = end == text.size() || !joins(text[end]) || !joins(word.back());
    if (left && right) return true;
  }
  return false;
}

TEST(Keywords, AgreesWithAPlainSearch) {
  const Words words = {"a", "ab", "b-a", "-", "a-b-a", "bb", "ba-"};
  const KeywordScanner scanner(words);
  uint32_t state = 3;
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) {
      state = state * 1664525u + 1013904223u;
      text.push_back("ab-"[(state >> 16) % 3]);
    }
    Words expected;
    for (const std::string& word : words) {
      if (FoundPlainly(text, word)) expected.push_back(word);
    }
    EXPECT_EQ(scanner.Find(text), expected) << text;
  }
}

}  // namespace
}  // namespace nearfar
