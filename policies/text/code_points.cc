#include "policies/text/code_points.h"

namespace nearfar {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

struct Range {
  char32_t first, last;
  Script script;
};

constexpr Range kScripts[] = {
    {'A', 'Z', Script::kLatin},          {'a', 'z', Script::kLatin},
    {0xAA, 0xAA, Script::kLatin},        {0xBA, 0xBA, Script::kLatin},
    {0xC0, 0xD6, Script::kLatin},        {0xD8, 0xF6, Script::kLatin},
    {0xF8, 0x24F, Script::kLatin},       {0x370, 0x3FF, Script::kGreek},
    {0x400, 0x52F, Script::kCyrillic},   {0x590, 0x5FF, Script::kHebrew},
    {0x600, 0x6FF, Script::kArabic},     {0x750, 0x77F, Script::kArabic},
    {0x900, 0x97F, Script::kDevanagari}, {0xE00, 0xE7F, Script::kThai},
    {0x1100, 0x11FF, Script::kHangul},   {0x1E00, 0x1EFF, Script::kLatin},
    {0x1F00, 0x1FFF, Script::kGreek},    {0x3040, 0x30FF, Script::kKana},
    {0x3400, 0x4DBF, Script::kHan},      {0x4E00, 0x9FFF, Script::kHan},
    {0xAC00, 0xD7AF, Script::kHangul},   {0xF900, 0xFAFF, Script::kHan},
    {0x20000, 0x2FA1F, Script::kHan},
};

// Length of the sequence that a lead byte announces, 0 of none.
size_t SequenceLength(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

bool IsValid(char32_t code, size_t length) {
  if (length == 3) return code >= 0x800 && (code < 0xD800 || code > 0xDFFF);
  if (length == 4) return code >= 0x10000 && code <= 0x10FFFF;
  return true;
}

}  // namespace

char32_t NextCodePoint(std::string_view text, size_t* pos) {
  const unsigned char lead = text[*pos];
  const size_t length = SequenceLength(lead);
  if (length == 1) return ++*pos, lead;
  if (length == 0 || *pos + length > text.size()) return ++*pos, kReplacement;
  char32_t code = lead & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    const unsigned char next = text[*pos + i];
    if ((next & 0xC0) != 0x80) return ++*pos, kReplacement;
    code = (code << 6) | (next & 0x3F);
  }
  if (!IsValid(code, length)) return ++*pos, kReplacement;
  *pos += length;
  return code;
}

void AppendUtf8(char32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xC0 | (code >> 6)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | (code >> 12)));
    out->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | (code >> 18)));
    out->push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

char32_t LowerCodePoint(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if (c >= 0xC0 && c <= 0xDE) return c == 0xD7 ? c : c + 32;
  if (c == 0x178) return 0xFF;
  if (c == 0x130) return 'i';
  if (c == 0x1E9E) return 0xDF;
  if ((c >= 0x100 && c <= 0x137) || (c >= 0x14A && c <= 0x177)) return c | 1;
  if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E)) return c % 2 == 1 ? c + 1 : c;
  if (c >= 0x391 && c <= 0x3A9) return c + 32;
  if (c == 0x3C2) return 0x3C3;  // final sigma
  switch (c) {                   // Greek capitals with tonos
    case 0x386:
      return 0x3AC;
    case 0x388:
      return 0x3AD;
    case 0x389:
      return 0x3AE;
    case 0x38A:
      return 0x3AF;
    case 0x38C:
      return 0x3CC;
    case 0x38E:
      return 0x3CD;
    case 0x38F:
      return 0x3CE;
  }
  if (c >= 0x410 && c <= 0x42F) return c + 32;
  if (c >= 0x400 && c <= 0x40F) return c + 80;
  if (c >= 0x460 && c <= 0x481) return c | 1;
  if (c >= 0x48A && c <= 0x4BF) return c | 1;
  return c;
}

bool IsSpaceCodePoint(char32_t c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200B) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000 || c == 0xFEFF;
}

bool IsWordCodePoint(char32_t c) {
  if (c < 0x80) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  }
  if (IsSpaceCodePoint(c) || c == kReplacement) return false;
  if (c < 0xC0) return c == 0xAA || c == 0xB5 || c == 0xBA;
  if (c == 0xD7 || c == 0xF7) return false;
  if (c >= 0x2010 && c <= 0x2BFF) return false;  // punctuation, arrows, mathematics, symbols
  if (c >= 0x3001 && c <= 0x303F) return false;  // CJK punctuation
  if (c >= 0xFF00 && c <= 0xFF0F) return false;
  if (c >= 0xFF1A && c <= 0xFF20) return false;
  return !(c >= 0x1F000 && c <= 0x1FAFF);  // pictures
}

Script ScriptOf(char32_t code) {
  for (const Range& range : kScripts) {
    if (code < range.first) return Script::kNone;
    if (code <= range.last) return range.script;
  }
  return Script::kNone;
}

bool IsUnspacedScript(Script script) {
  return script == Script::kHan || script == Script::kKana || script == Script::kThai;
}

std::string FoldText(std::string_view text) {
  std::string folded;
  folded.reserve(text.size());
  bool space = false;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t code = NextCodePoint(text, &pos);
    if (IsSpaceCodePoint(code)) {
      space = true;
      continue;
    }
    if (space) folded.push_back(' ');
    space = false;
    AppendUtf8(LowerCodePoint(code), &folded);
  }
  if (space) folded.push_back(' ');
  return folded;
}

}  // namespace nearfar
