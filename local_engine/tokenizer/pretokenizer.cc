// The passes, and the list of variants that are made of them.

#include "local_engine/tokenizer/pretokenizer.h"

#include <utility>

#include "local_engine/base/utf8.h"

namespace nearfar {
namespace {

using Chars = absl::Span<const PretokenizerChar>;

// The characters of one piece; beyond its end nothing is seen, as in a regular expression's match.
class Window {
 public:
  Window(Chars chars, size_t end) : chars_(chars), end_(end) {}

  size_t end() const { return end_; }
  bool Letter(size_t i) const { return Is(i, CharClass::kLetter); }
  bool Number(size_t i) const { return Is(i, CharClass::kNumber); }
  bool Space(size_t i) const { return i < end_ && chars_[i].whitespace; }
  bool Newline(size_t i) const { return At(i, '\r') || At(i, '\n'); }
  // [^\s\p{L}\p{N}]
  bool Mark(size_t i) const { return i < end_ && !Space(i) && !Letter(i) && !Number(i); }
  bool At(size_t i, char c) const {
    return i < end_ && chars_[i].code_point == static_cast<uint32_t>(c);
  }

  // One past the run of characters from i on for which `predicate` holds.
  size_t Run(size_t i, bool (Window::*predicate)(size_t) const) const {
    while ((this->*predicate)(i)) ++i;
    return i;
  }

 private:
  bool Is(size_t i, CharClass c) const { return i < end_ && chars_[i].char_class == c; }

  Chars chars_;
  size_t end_;
};

// One past an English contraction at i, or i.
size_t Contraction(const Window& w, size_t i, bool any_case) {
  if (!w.At(i, '\'')) return i;
  const auto is = [&](size_t at, char c) {
    return w.At(at, c) || (any_case && w.At(at, static_cast<char>(c - 'a' + 'A')));
  };
  for (const char c : {'s', 't', 'm', 'd'}) {
    if (is(i + 1, c)) return i + 2;
  }
  const bool two = (is(i + 1, 'r') && is(i + 2, 'e')) || (is(i + 1, 'v') && is(i + 2, 'e')) ||
                   (is(i + 1, 'l') && is(i + 2, 'l'));
  return two ? i + 3 : i;
}

// \s+(?!\S)|\s+ : a run of whitespace leaves its last character to the word that follows.
size_t Whitespace(const Window& w, size_t i) {
  const size_t run = w.Run(i, &Window::Space);
  return run < w.end() && run - i > 1 ? run - 1 : run;
}

size_t GptWord(const Window& w, size_t i) {
  const size_t contraction = Contraction(w, i, /*any_case=*/false);
  if (contraction > i) return contraction;
  const size_t word = w.At(i, ' ') ? i + 1 : i;
  if (w.Letter(word)) return w.Run(word, &Window::Letter);
  if (w.Number(word)) return w.Run(word, &Window::Number);
  if (w.Mark(word)) return w.Run(word, &Window::Mark);
  return Whitespace(w, i);
}

// Looks no further than `most` characters, so that a long run costs its length once.
size_t Digits(const Window& w, size_t i, size_t most) {
  size_t end = i;
  while (end < i + most && w.Number(end)) ++end;
  return end;
}

size_t LlamaWord(const Window& w, size_t i, size_t digits) {
  const size_t contraction = Contraction(w, i, /*any_case=*/true);
  if (contraction > i) return contraction;
  if (w.Letter(i)) return w.Run(i, &Window::Letter);
  if (w.Number(i)) return Digits(w, i, digits);
  // Any one character but a line break may stand before a word.
  if (!w.Newline(i) && w.Letter(i + 1)) return w.Run(i + 1, &Window::Letter);
  const size_t mark = w.At(i, ' ') ? i + 1 : i;
  if (w.Mark(mark)) return w.Run(w.Run(mark, &Window::Mark), &Window::Newline);
  size_t last_break = i;
  for (size_t j = i; w.Space(j); ++j) {
    if (w.Newline(j)) last_break = j + 1;
  }
  return last_break > i ? last_break : Whitespace(w, i);
}

void GptWords(Chars chars, size_t begin, size_t end, std::vector<size_t>* ends) {
  const Window w(chars, end);
  for (size_t i = begin; i < end;) ends->push_back(i = GptWord(w, i));
}

template <size_t kDigits>
void LlamaWords(Chars chars, size_t begin, size_t end, std::vector<size_t>* ends) {
  const Window w(chars, end);
  for (size_t i = begin; i < end;) ends->push_back(i = LlamaWord(w, i, kDigits));
}

void EachNumberAlone(Chars chars, size_t begin, size_t end, std::vector<size_t>* ends) {
  for (size_t i = begin; i < end; ++i) {
    const bool cut = chars[i].char_class == CharClass::kNumber || i + 1 == end ||
                     chars[i + 1].char_class == CharClass::kNumber;
    if (cut) ends->push_back(i + 1);
  }
}

// Cuts wherever `in_run` changes.
template <typename Predicate>
void CutRuns(Chars chars, size_t begin, size_t end, std::vector<size_t>* ends, Predicate in_run) {
  for (size_t i = begin; i < end; ++i) {
    if (i + 1 == end || in_run(chars[i]) != in_run(chars[i + 1])) ends->push_back(i + 1);
  }
}

void NumberRuns(Chars chars, size_t begin, size_t end, std::vector<size_t>* ends) {
  CutRuns(chars, begin, end, ends,
          [](const PretokenizerChar& c) { return c.char_class == CharClass::kNumber; });
}

void PunctuationRuns(Chars chars, size_t begin, size_t end, std::vector<size_t>* ends) {
  constexpr std::string_view kSymbols = "$+<=>^~|";
  CutRuns(chars, begin, end, ends, [&](const PretokenizerChar& c) {
    return c.char_class == CharClass::kPunctuation ||
           (c.code_point < 0x80 &&
            kSymbols.find(static_cast<char>(c.code_point)) != std::string_view::npos);
  });
}

void DigitTriples(Chars chars, size_t begin, size_t end, std::vector<size_t>* ends) {
  size_t done = begin;    // up to here pieces have been given
  size_t digits = begin;  // where the current run of ASCII digits began
  for (size_t i = begin; i < end; ++i) {
    if (chars[i].code_point < '0' || chars[i].code_point > '9') digits = i + 1;
    if (i + 1 - digits < 3) continue;
    if (digits > done) ends->push_back(digits);
    ends->push_back(i + 1);
    done = digits = i + 1;
  }
  if (done < end) ends->push_back(end);
}

std::vector<PretokenizerChar> Decode(std::string_view text) {
  std::vector<PretokenizerChar> chars;
  chars.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = DecodeUtf8(text.substr(at));
    const bool valid = step.kind == Utf8Kind::kValid;
    const uint32_t c = valid ? step.code_point : 0xfffd;
    at += valid ? step.length : 1;
    chars.push_back({c, ClassOf(c), IsWhitespace(c), at});
  }
  return chars;
}

}  // namespace

absl::Span<const Pretokenizer> AllPretokenizers() {
  static const auto* const kAll = new std::vector<Pretokenizer>{
      {"smollm", false, false, {EachNumberAlone, GptWords}},
      {"qwen2", false, false, {LlamaWords<1>}},
      {"gpt-2", false, false, {GptWords}},
      {"llama-bpe", true, true, {LlamaWords<3>}},
      {"default", false, false, {PunctuationRuns, GptWords, NumberRuns, DigitTriples}},
  };
  return *kAll;
}

const Pretokenizer* FindPretokenizer(std::string_view name) {
  for (const Pretokenizer& pretokenizer : AllPretokenizers()) {
    if (name == pretokenizer.name) return &pretokenizer;
  }
  return nullptr;
}

std::vector<size_t> Pretokenizer::Split(std::string_view text) const {
  const std::vector<PretokenizerChar> chars = Decode(text);
  std::vector<size_t> ends;
  if (!chars.empty()) ends.push_back(chars.size());
  for (const PretokenizerPass pass : passes) {
    std::vector<size_t> finer;
    finer.reserve(chars.size() / 4 + ends.size());
    size_t begin = 0;
    for (const size_t end : ends) {
      pass(chars, begin, end, &finer);
      begin = end;
    }
    ends = std::move(finer);
  }
  for (size_t& end : ends) end = chars[end - 1].end;
  return ends;
}

}  // namespace nearfar
