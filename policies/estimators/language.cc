// GuessLanguage of prompt_features.h: the script decides where it names a language; Latin text is
// told by its most frequent short words and its own letters. Good enough to route by, not a
// linguist; held by tests/policies/estimators/prompt_features_test.cc.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "policies/estimators/prompt_features.h"
#include "policies/text/code_points.h"

namespace nearfar {
namespace {

constexpr int kLanguages = 10;  // told by their words; the others by their script
constexpr const char* kTags[] = {"en", "de", "fr", "es", "it", "pt", "nl", "sv", "pl", "tr", "el",
                                 "uk", "ru", "he", "fa", "ar", "hi", "th", "ja", "zh", "ko"};

// The most frequent function words and question words, folded.
constexpr const char* kWords[kLanguages] = {
    "the of and to in is that it was for are with what how who which when where why this from have "
    "does do did you your please write many much an be as on at by not can if into than or between "
    "whose will would should there their he she they we my has had were give name list explain",
    "der die das und ist nicht ein eine einen einem einer mit von zu den dem des auf für im wie "
    "was "
    "wer wo wann warum welche welcher welches sind auch sich wird werden wurde bei aus nach über "
    "ich du sie wir ihr mein bitte kann hat haben viele viel zum zur oder aber nenne schreibe "
    "heißt",
    "le la les des une un et est du en que qui dans pour pas sur au aux avec ce cette il elle nous "
    "vous je sont quel quelle quels quelles comment combien pourquoi quand où ou mais être fait "
    "plus par est-ce leur ses son mon votre écris explique donne",
    "el la los las de del que y en un una es por con para no se su al lo como más qué cuál cuáles "
    "cómo quién cuándo dónde cuánto cuántos cuántas está son fue pero sus le ya o este esta hay "
    "mi tu escribe explica",
    "il lo la gli le di che e è un una in con per non si del della dei delle al alla come chi cosa "
    "quale quali quando dove perché quanto quanti quante sono ha anche più nel nella questo questa "
    "mio tuo scrivi spiega",
    "o os as de do da dos das que e em um uma é por com para não se no na ao como mais qual quais "
    "quem quando onde quanto quantos quantas são foi mas seu sua está este esta você eu isso "
    "escreva explique",
    "de het een en van is dat die in te op voor met zijn er niet aan om ook als bij maar hoe wat "
    "wie "
    "waar wanneer waarom welke hoeveel ik je jij wij naar uit worden wordt heeft geef schrijf deze",
    "och att det som en ett är av på för med inte den till om har hur vad vem var när varför "
    "vilken "
    "vilka jag du vi från eller men kan ska skriv många mycket",
    "i w z na nie do to się że jest jak co kto gdzie kiedy dlaczego ile który która które są od po "
    "przez dla o za czy ale być ma ten ta napisz proszę",
    "ve bir bu da de için ile ne nasıl kim nerede zaman neden kaç hangi mi mı değil var olan "
    "olarak "
    "çok daha en gibi kadar ben sen o biz yaz nedir lütfen",
};

// Letters that few other languages of the list use.
struct Hint {
  char32_t letter;
  const char* tag;
};
constexpr Hint kHints[] = {
    {0xDF, "de"},  {0xE4, "de"},  {0xFC, "de"},  {0xF6, "de"},  {0xF1, "es"},  {0xBF, "es"},
    {0xA1, "es"},  {0xE3, "pt"},  {0xF5, "pt"},  {0xEA, "fr"},  {0xE8, "fr"},  {0xE7, "fr"},
    {0xF9, "fr"},  {0xEE, "fr"},  {0xE5, "sv"},  {0x142, "pl"}, {0x105, "pl"}, {0x119, "pl"},
    {0x17C, "pl"}, {0x15B, "pl"}, {0x131, "tr"}, {0x15F, "tr"}, {0x11F, "tr"}, {0x153, "fr"},
};

using WordMap = std::unordered_map<std::string_view, uint32_t>;  // word -> bit set of languages

WordMap* BuildWordMap() {
  auto* map = new WordMap;
  for (int language = 0; language < kLanguages; ++language) {
    std::string_view rest = kWords[language];
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(' '), rest.size());
      (*map)[rest.substr(0, end)] |= 1u << language;
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return map;
}

const WordMap& Words() {
  static const WordMap* const map = BuildWordMap();  // never freed: no order of destruction
  return *map;
}

struct Counts {
  std::array<int, static_cast<int>(Script::kHangul) + 1> scripts{};
  std::array<double, kLanguages> latin{};
  bool ukrainian = false;
  bool persian = false;

  int of(Script script) const { return scripts[static_cast<int>(script)]; }
};

void CountWord(std::string_view word, Counts* counts) {
  const auto found = Words().find(word);
  if (found == Words().end()) return;
  for (int i = 0; i < kLanguages; ++i) {
    if (found->second >> i & 1) counts->latin[i] += 1;
  }
}

void CountLetter(char32_t code, Counts* counts) {
  ++counts->scripts[static_cast<int>(ScriptOf(code))];
  if (code == 0x456 || code == 0x457 || code == 0x454 || code == 0x491) counts->ukrainian = true;
  if (code == 0x67E || code == 0x686 || code == 0x6AF || code == 0x6CC) counts->persian = true;
  for (const Hint& hint : kHints) {
    if (hint.letter != code) continue;
    for (int i = 0; i < kLanguages; ++i) {
      if (std::string_view(kTags[i]) == hint.tag) counts->latin[i] += 0.5;
    }
  }
}

Counts CountText(std::string_view text) {
  Counts counts;
  std::string word;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t code = LowerCodePoint(NextCodePoint(text, &pos));
    CountLetter(code, &counts);
    if (IsWordCodePoint(code) || code == '-') {
      AppendUtf8(code, &word);
    } else if (!word.empty()) {
      CountWord(word, &counts);
      word.clear();
    }
  }
  CountWord(word, &counts);
  return counts;
}

std::string BestLatin(const Counts& counts) {
  int best = 0;
  for (int i = 1; i < kLanguages; ++i) {
    if (counts.latin[i] > counts.latin[best]) best = i;
  }
  if (counts.latin[best] < 1) return "";
  for (int i = 0; i < kLanguages; ++i) {
    if (i != best && counts.latin[i] == counts.latin[best]) return "";  // a tie tells nothing
  }
  return kTags[best];
}

}  // namespace

absl::Span<const char* const> KnownLanguages() { return kTags; }

std::string GuessLanguage(std::string_view text) {
  const Counts counts = CountText(text);
  Script best = Script::kNone;
  int letters = 0;
  for (int i = 1; i < static_cast<int>(counts.scripts.size()); ++i) {
    // One Han character says as much as a few letters.
    const Script script = static_cast<Script>(i);
    const int weight = IsUnspacedScript(script) || script == Script::kHangul ? 3 : 1;
    if (counts.scripts[i] * weight > letters) {
      letters = counts.scripts[i] * weight;
      best = script;
    }
  }
  switch (best) {
    case Script::kNone:
      return "";
    case Script::kLatin:
      return BestLatin(counts);
    case Script::kGreek:
      return "el";
    case Script::kCyrillic:
      return counts.ukrainian ? "uk" : "ru";
    case Script::kHebrew:
      return "he";
    case Script::kArabic:
      return counts.persian ? "fa" : "ar";
    case Script::kDevanagari:
      return "hi";
    case Script::kThai:
      return "th";
    case Script::kHan:
      return counts.of(Script::kKana) > 0 ? "ja" : "zh";
    case Script::kKana:
      return "ja";
    case Script::kHangul:
      return "ko";
  }
  return "";
}

}  // namespace nearfar
