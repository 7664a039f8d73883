#include "policies/text/scan_text.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "policies/text/code_points.h"

namespace nearfar {
namespace {

struct Range {
  char32_t first, last;
};

// Default_Ignorable_Code_Point of Unicode, but for the fillers of hangul.
constexpr Range kInvisible[] = {
    {0xAD, 0xAD},     {0x34F, 0x34F},   {0x61C, 0x61C},   {0x180B, 0x180F}, {0x200B, 0x200F},
    {0x202A, 0x202E}, {0x2060, 0x206F}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}, {0xE0000, 0xE0FFF},
};

bool IsInvisible(char32_t c) {
  return std::any_of(std::begin(kInvisible), std::end(kInvisible),
                     [c](const Range& range) { return c >= range.first && c <= range.last; });
}

// Where the ten digits of a script begin.
constexpr char32_t kZeros[] = {0x660, 0x6F0, 0x966};

bool IsLongDash(char32_t c) { return c == 0x2014 || c == 0x2015; }
bool IsDigit(char32_t c) { return c >= '0' && c <= '9'; }

char32_t Plain(char32_t c) {
  if (c < 0x80) return c;
  if (c >= 0xFF01 && c <= 0xFF5E) return c - 0xFF01 + '!';
  if (c == 0x85 || c == 0x2028 || c == 0x2029) return '\n';
  if (IsSpaceCodePoint(c)) return ' ';
  if ((c >= 0x2010 && c <= 0x2013) || c == 0x2212 || c == 0xFE63) return '-';
  for (char32_t zero : kZeros) {
    if (c >= zero && c <= zero + 9) return c - zero + '0';
  }
  return LowerCodePoint(c);
}

// A combining mark: the letters that take it, and what each becomes.
struct Mark {
  char32_t mark;
  std::u32string_view letters, composed;
};
constexpr Mark kMarks[] = {
    {0x300, U"aeiouеи", U"àèìòùѐѝ"},
    {0x301, U"aeiouyclnrszαεηιουωϊϋгк", U"áéíóúýćĺńŕśźάέήίόύώΐΰѓќ"},
    {0x302, U"aeioucghjswy", U"âêîôûĉĝĥĵŝŵŷ"},
    {0x303, U"anoiu", U"ãñõĩũ"},
    {0x304, U"aeiou", U"āēīōū"},
    {0x306, U"aegiouиу", U"ăĕğĭŏŭйў"},
    {0x307, U"cegz", U"ċėġż"},
    {0x308, U"aeiouyιυеі", U"äëïöüÿϊϋёї"},
    {0x30A, U"au", U"åů"},
    {0x30B, U"ou", U"őű"},
    {0x30C, U"cdenrstzl", U"čďěňřšťžľ"},
    {0x327, U"cgklnrst", U"çģķļņŗşţ"},
    {0x328, U"aeiu", U"ąęįų"},
    {0x3099,
     U"かきくけこさしすせそたちつてとはひふへほうカキクケコサシスセソタチツテトハヒフヘホウ",
     U"がぎぐげござじずぜぞだぢづでどばびぶべぼゔガギグゲゴザジズゼゾダヂヅデドバビブベボヴ"},
    {0x309A, U"はひふへほハヒフヘホ", U"ぱぴぷぺぽパピプペポ"},
};

static_assert(std::all_of(std::begin(kMarks), std::end(kMarks), [](const Mark& mark) {
  return mark.letters.size() == mark.composed.size();
}));

// Hangul syllables are numbered by their parts (The Unicode Standard, section 3.12).
char32_t ComposeHangul(char32_t a, char32_t b) {
  constexpr char32_t kLead = 0x1100, kVowel = 0x1161, kTail = 0x11A7, kSyllable = 0xAC00;
  if (a >= kLead && a < kLead + 19 && b >= kVowel && b < kVowel + 21) {
    return kSyllable + ((a - kLead) * 21 + (b - kVowel)) * 28;
  }
  const bool open = a >= kSyllable && a <= 0xD7A3 && (a - kSyllable) % 28 == 0;
  return open && b > kTail && b < kTail + 28 ? a + (b - kTail) : 0;
}

// The one code point of both, in lower case; 0 = there is none.
char32_t Compose(char32_t letter, char32_t mark) {
  if (mark < 0x300) return 0;
  for (const Mark& known : kMarks) {
    if (known.mark != mark) continue;
    const size_t at = known.letters.find(LowerCodePoint(letter));
    return at == std::u32string_view::npos ? 0 : known.composed[at];
  }
  return ComposeHangul(letter, mark);
}

// Writes code points, joining each to the one before where both have one code point.
class Writer {
 public:
  explicit Writer(size_t bytes) { out_.reserve(bytes); }

  void Add(char32_t code) {
    const char32_t both = Compose(last_, code);
    if (both != 0) out_.resize(last_begin_);
    last_ = both != 0 ? both : code;
    last_begin_ = out_.size();
    AppendUtf8(last_, &out_);
  }
  void AddBytes(std::string_view bytes) {
    out_.append(bytes);
    last_ = 0;
  }
  char32_t last() const { return last_; }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
  char32_t last_ = 0;
  size_t last_begin_ = 0;
};

bool IsDigitAt(std::string_view text, size_t pos) {
  return pos < text.size() && IsDigit(Plain(NextCodePoint(text, &pos)));
}

}  // namespace

std::string NormalizeForScan(std::string_view text) {
  constexpr char32_t kReplacement = 0xFFFD;
  Writer writer(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const size_t begin = pos;
    const char32_t code = NextCodePoint(text, &pos);
    if (code == kReplacement) {
      writer.AddBytes(text.substr(begin, pos - begin));
    } else if (IsLongDash(code) && IsDigit(writer.last()) && IsDigitAt(text, pos)) {
      writer.Add('-');
    } else if (!IsInvisible(code)) {
      writer.Add(Plain(code));
    }
  }
  return writer.Take();
}

}  // namespace nearfar
