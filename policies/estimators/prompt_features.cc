#include "policies/estimators/prompt_features.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "policies/text/code_points.h"

namespace nearfar {
namespace {

// One pass over the text collects these; Dense turns them into features.
struct Shape {
  int64_t code_points = 0, letters = 0, uppers = 0, digits = 0, punctuation = 0, non_ascii = 0;
  int64_t lines = 1, words = 0, word_letters = 0, longest_word = 0, capitalised = 0;
  int64_t numbers = 0, number_digits = 0, longest_number = 0, decimals = 0;
  int64_t plus_minus = 0, times_divide = 0, equals = 0, brackets = 0, quotes = 0;
  int64_t question_marks = 0, distinct_words = 0;
};

constexpr const char* kNames[] = {
    // Size.
    "log_bytes",
    "log_words",
    "log_lines",
    "mean_word",
    "longest_word",
    "distinct_words",
    // Characters.
    "digit_rate",
    "upper_rate",
    "punctuation_rate",
    "non_ascii_rate",
    "capitalised_rate",
    "quotes",
    // Numbers.
    "numbers",
    "number_digits",
    "longest_number",
    "decimals",
    "plus_minus",
    "times_divide",
    "equals",
    "brackets",
    // What is asked.
    "question_mark",
    "ask_what",
    "ask_who",
    "ask_when",
    "ask_where",
    "ask_why",
    "ask_how",
    "ask_how_many",
    "ask_which",
    "ask_yes_no",
    "ask_write",
    "ask_translate",
    "ask_extract",
    "ask_classify",
    "ask_explain",
    "ask_compute",
    "ask_convert",
    "ask_one_word",
    // What it is about.
    "has_code",
    "ask_code",
    "date_words",
    "unit_words",
    "superlative",
    "negation",
    "step_words",
};
constexpr size_t kFeatures = std::size(kNames);

// Folded words that set a flag; "a b" is a pair of neighbours.
struct Cue {
  const char* feature;
  const char* words;
};
constexpr Cue kCues[] = {
    {"ask_what", "what|what's|was|que|qué|quel|quelle|cosa|o que|wat|что|什么"},
    {"ask_who", "who|who's|whose|whom|wer|qui|quién|chi|quem|wie|кто"},
    {"ask_when", "when|wann|quand|cuándo|quando|wanneer|когда|year|jahr|año|année"},
    {"ask_where", "where|wo|où|dónde|dove|onde|waar|где|capital|hauptstadt|capitale"},
    {"ask_why", "why|warum|pourquoi|por qué|perché|por que|waarom|почему"},
    {"ask_how", "how|wie|comment|cómo|come|como|hoe|как"},
    {"ask_how_many", "how many|how much|wie viele|wie viel|combien|cuántos|cuánto|quanti|hoeveel"},
    {"ask_which", "which|welche|welcher|welches|quels|quelles|cuál|quale|qual|welke"},
    {"ask_yes_no", "is|are|does|do|did|can|was|were|yes or|true or|ist|sind"},
    {"ask_write",
     "write|compose|draft|poem|story|essay|email|letter|schreibe|écris|escribe|scrivi"},
    {"ask_translate",
     "translate|translation|übersetze|traduis|traduce|in german|in french|in spanish|in italian|"
     "into german|into french|into spanish|into english|to german|to french|to spanish|auf "
     "deutsch"},
    {"ask_extract", "extract|find|list|given|from the|in the|sentence|text|passage|email|address"},
    {"ask_classify",
     "classify|sentiment|positive|negative|neutral|category|label|review|spam|topic"},
    {"ask_explain", "explain|describe|summarize|summarise|compare|difference|erkläre|explique"},
    {"ask_compute",
     "calculate|compute|sum|plus|minus|times|divided|multiply|product|add|subtract|percent|"
     "remainder|square|total|average|mal|geteilt"},
    {"ask_convert",
     "convert|conversion|in meters|in metres|in feet|in celsius|in fahrenheit|in grams"},
    {"ask_one_word", "only|just|one word|single word|briefly|answer with|reply with"},
    {"ask_code",
     "python|javascript|java|rust|golang|sql|regex|bash|function|code|program|script|method|class|"
     "lambda|algorithm|expression|command|html|css|json"},
    {"date_words",
     "day|days|week|weeks|month|months|date|monday|tuesday|wednesday|thursday|friday|saturday|"
     "sunday|january|february|march|april|june|july|august|september|october|november|december|"
     "leap|tomorrow|yesterday"},
    {"unit_words",
     "km|kilometers|kilometres|miles|meters|metres|cm|centimeters|mm|inches|feet|yards|kg|"
     "kilograms|grams|pounds|ounces|liters|litres|gallons|celsius|fahrenheit|hours|minutes|seconds|"
     "mph|bytes|dollars|euros"},
    {"superlative", "most|least|largest|smallest|biggest|highest|longest|first|last|best|oldest"},
    {"negation", "not|no|never|without|except|nicht|kein|pas|isn't|don't|doesn't"},
    {"step_words", "then|after|before|if|each|every|therefore|because|while|step|steps|and then"},
};

size_t IndexOf(std::string_view name) {
  for (size_t i = 0; i < kFeatures; ++i) {
    if (name == kNames[i]) return i;
  }
  return kFeatures;  // a cue that names no feature; the test of the lists forbids it
}

// Word -> features it raises. Owned keys are views into literals.
using CueMap = std::unordered_map<std::string_view, std::vector<uint8_t>>;

CueMap* BuildCueMap() {
  auto* map = new CueMap;
  for (const Cue& cue : kCues) {
    const size_t feature = IndexOf(cue.feature);
    std::string_view rest = cue.words;
    while (!rest.empty() && feature < kFeatures) {
      const size_t end = std::min(rest.find('|'), rest.size());
      (*map)[rest.substr(0, end)].push_back(static_cast<uint8_t>(feature));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return map;
}

const CueMap& Cues() {
  static const CueMap* const map = BuildCueMap();
  return *map;
}

bool IsAsciiDigit(char32_t c) { return c >= '0' && c <= '9'; }

void CountSymbol(char32_t c, Shape* shape) {
  switch (c) {
    case '+':
    case '-':
    case 0x2212:
      ++shape->plus_minus;
      break;
    case '*':
    case '/':
    case 0xD7:
    case 0xF7:
    case '%':
    case '^':
      ++shape->times_divide;
      break;
    case '=':
      ++shape->equals;
      break;
    case '(':
    case ')':
    case '[':
    case ']':
    case '{':
    case '}':
      ++shape->brackets;
      break;
    case '"':
    case '`':
    case 0x201C:
    case 0x201D:
    case 0xAB:
    case 0xBB:
      ++shape->quotes;
      break;
    case '?':
    case 0xFF1F:
    case 0x61F:
      ++shape->question_marks;
      break;
    default:
      break;
  }
}

// Walks the text once: counts, and the folded words with their capitals forgotten.
class Walker {
 public:
  explicit Walker(std::string_view text) {
    char32_t previous = ' ';
    for (size_t pos = 0; pos < text.size();) {
      const char32_t code = NextCodePoint(text, &pos);
      Step(previous, code);
      previous = code;
    }
    EndNumber();
    EndWord();
    shape_.words = static_cast<int64_t>(words_.size());
    shape_.distinct_words = static_cast<int64_t>(
        std::unordered_set<std::string_view>(words_.begin(), words_.end()).size());
  }

  const Shape& shape() const { return shape_; }
  const std::vector<std::string>& words() const { return words_; }

 private:
  void Step(char32_t previous, char32_t code) {
    ++shape_.code_points;
    if (code == '\n') ++shape_.lines;
    if (code >= 0x80) ++shape_.non_ascii;
    const bool number_dot = (code == '.' || code == ',') && number_ > 0;
    if (IsAsciiDigit(code)) {
      ++shape_.digits, ++number_;
      if (previous == '.' && digits_before_dot_) ++shape_.decimals;
    } else if (!number_dot) {
      EndNumber();
    }
    digits_before_dot_ = code == '.' ? IsAsciiDigit(previous) : false;
    CountSymbol(code, &shape_);
    if (IsWordCodePoint(code) || (code == '\'' && !word_.empty())) {
      AddToWord(code);
    } else {
      EndWord();
      if (!IsSpaceCodePoint(code)) ++shape_.punctuation;
    }
  }

  void AddToWord(char32_t code) {
    const char32_t lower = LowerCodePoint(code);
    if (!IsAsciiDigit(code)) ++shape_.letters;
    if (lower != code) {
      ++shape_.uppers;
      if (word_.empty()) ++shape_.capitalised;
    }
    AppendUtf8(lower, &word_);
    ++word_length_;
  }

  void EndWord() {
    while (!word_.empty() && word_.back() == '\'') word_.pop_back(), --word_length_;
    if (word_.empty()) return;
    shape_.longest_word = std::max(shape_.longest_word, word_length_);
    shape_.word_letters += word_length_;
    words_.push_back(std::move(word_));
    word_.clear();
    word_length_ = 0;
  }

  void EndNumber() {
    if (number_ == 0) return;
    ++shape_.numbers;
    shape_.number_digits += number_;
    shape_.longest_number = std::max(shape_.longest_number, number_);
    number_ = 0;
  }

  Shape shape_;
  std::vector<std::string> words_;
  std::string word_;
  int64_t word_length_ = 0;
  int64_t number_ = 0;  // digits of the number being read; "1,000.5" is one number
  bool digits_before_dot_ = false;
};

// Signs of program text, each worth its weight; two points make code.
bool LooksLikeCode(std::string_view text) {
  struct Sign {
    const char* text;
    int points;
  };
  constexpr Sign kSigns[] = {
      {"```", 2},      {"#include", 2}, {"def ", 1},   {"return ", 1}, {"function ", 1},
      {"();", 2},      {"import ", 1},  {"class ", 1}, {" = ", 1},     {"==", 1},
      {"=>", 1},       {"->", 1},       {"!=", 1},     {"{\n", 1},     {";\n", 1},
      {"std::", 2},    {"print(", 1},   {"for (", 1},  {"if (", 1},    {"):\n", 1},
      {"SELECT ", 1},  {" FROM ", 1},   {"</", 1},     {"const ", 1},  {"public ", 1},
      {"self.", 1},    {"[]", 1},       {"let ", 1},   {"fn ", 1},     {"&&", 1},
      {"console.", 1}, {"lambda ", 1},  {"$(", 1},     {"var ", 1},    {"printf", 2},
  };
  int points = 0;
  for (const Sign& sign : kSigns) {
    if (text.find(sign.text) != std::string_view::npos) points += sign.points;
    if (points >= 2) return true;
  }
  return false;
}

double Rate(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

double Log1p(int64_t count) { return std::log1p(static_cast<double>(count)); }

void RaiseCues(const std::vector<std::string>& words, std::vector<double>* dense) {
  std::string pair;
  for (size_t i = 0; i < words.size(); ++i) {
    if (auto found = Cues().find(words[i]); found != Cues().end()) {
      for (uint8_t feature : found->second) (*dense)[feature] = 1;
    }
    if (i + 1 == words.size()) break;
    pair.assign(words[i]).append(" ").append(words[i + 1]);
    if (auto found = Cues().find(pair); found != Cues().end()) {
      for (uint8_t feature : found->second) (*dense)[feature] = 1;
    }
  }
}

std::vector<double> Dense(std::string_view text, const Walker& walker, bool has_code) {
  const Shape& s = walker.shape();
  std::vector<double> dense = {
      std::log1p(static_cast<double>(text.size())),
      Log1p(s.words),
      Log1p(s.lines),
      Rate(s.word_letters, s.words),
      Log1p(s.longest_word),
      Rate(s.distinct_words, s.words),
      Rate(s.digits, s.code_points),
      Rate(s.uppers, s.letters),
      Rate(s.punctuation, s.code_points),
      Rate(s.non_ascii, s.code_points),
      Rate(s.capitalised, s.words),
      Log1p(s.quotes),
      Log1p(s.numbers),
      Log1p(s.number_digits),
      static_cast<double>(std::min<int64_t>(s.longest_number, 32)),
      Log1p(s.decimals),
      Log1p(s.plus_minus),
      Log1p(s.times_divide),
      Log1p(s.equals),
      Log1p(s.brackets),
      s.question_marks > 0 ? 1.0 : 0.0,
  };
  dense.resize(kFeatures, 0.0);
  dense[IndexOf("has_code")] = has_code ? 1 : 0;
  RaiseCues(walker.words(), &dense);
  return dense;
}

// FNV-1a with a final mix, so that the low bits depend on every byte. Part of the file format of
// calibrations: a change raises kFeatureVersion.
class BucketHash {
 public:
  explicit BucketHash(unsigned char kind) { Add(kind); }
  void Add(unsigned char byte) { state_ = (state_ ^ byte) * 0x100000001B3u; }
  void Add(std::string_view bytes) {
    for (unsigned char byte : bytes) Add(byte);
  }
  uint32_t bucket() const {
    uint64_t h = state_;
    h = (h ^ (h >> 33)) * 0xFF51AFD7ED558CCDu;
    return static_cast<uint32_t>((h >> 29) & ((1u << kPromptHashBits) - 1));
  }

 private:
  uint64_t state_ = 0xCBF29CE484222325u;
};

constexpr unsigned char kUnigram = 1, kBigram = 2, kCharacters = 3;

// The 3- to 5-grams of " word ", by code points.
void HashCharacters(std::string_view word, std::vector<uint32_t>* buckets) {
  std::string padded = " ";
  padded.append(word).push_back(' ');
  std::vector<size_t> starts;
  for (size_t pos = 0; pos < padded.size();) {
    starts.push_back(pos);
    NextCodePoint(padded, &pos);
  }
  starts.push_back(padded.size());
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    for (size_t n = 3; n <= 5 && i + n < starts.size(); ++n) {
      BucketHash hash(kCharacters);
      hash.Add(std::string_view(padded).substr(starts[i], starts[i + n] - starts[i]));
      buckets->push_back(hash.bucket());
    }
  }
}

std::vector<std::pair<uint32_t, float>> Hashed(const std::vector<std::string>& words) {
  std::vector<uint32_t> buckets;
  size_t bytes = 0;
  for (size_t i = 0; i < words.size() && bytes < kPromptHashedBytes; ++i) {
    bytes += words[i].size() + 1;
    BucketHash unigram(kUnigram);
    unigram.Add(words[i]);
    buckets.push_back(unigram.bucket());
    if (i + 1 < words.size()) {
      BucketHash bigram(kBigram);
      bigram.Add(words[i]);
      bigram.Add(' ');
      bigram.Add(words[i + 1]);
      buckets.push_back(bigram.bucket());
    }
    HashCharacters(std::string_view(words[i]).substr(0, 256), &buckets);
  }
  std::sort(buckets.begin(), buckets.end());
  std::vector<std::pair<uint32_t, float>> hashed;
  double norm = 0;
  for (size_t i = 0; i < buckets.size();) {
    size_t end = i;
    while (end < buckets.size() && buckets[end] == buckets[i]) ++end;
    const double value = 1 + std::log(static_cast<double>(end - i));
    hashed.emplace_back(buckets[i], static_cast<float>(value));
    norm += value * value;
    i = end;
  }
  for (auto& [bucket, value] : hashed) value = static_cast<float>(value / std::sqrt(norm));
  return hashed;
}

}  // namespace

absl::Span<const char* const> PromptFeatureNames() { return kNames; }

void FillPromptFeatures(std::string_view text, PromptSignals* signals) {
  const Walker walker(text);
  signals->bytes = static_cast<int64_t>(text.size());
  signals->has_code = LooksLikeCode(text);
  signals->language = GuessLanguage(text);
  signals->dense = Dense(text, walker, signals->has_code);
  signals->hashed = Hashed(walker.words());
}

}  // namespace nearfar
