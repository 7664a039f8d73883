// What kind of character a code point is, as the pre-tokenizers ask for it.
//
// From the Unicode Character Database 15.1 (General_Category and White_Space), the version that
// llama.cpp's tables have, so that both split every code point alike. unicode_tables.cc is written
// by make_unicode_tables.py. Held by tests/local_engine/tokenizer/unicode_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_TOKENIZER_UNICODE_H_
#define NEARFAR_LOCAL_ENGINE_TOKENIZER_UNICODE_H_

#include <cstddef>
#include <cstdint>

namespace nearfar {

// The first letter of General_Category; Cn (not assigned) stands alone.
enum class CharClass : uint8_t {
  kUnassigned = 0,
  kLetter = 1,       // L
  kMark = 2,         // M
  kNumber = 3,       // N
  kPunctuation = 4,  // P
  kSymbol = 5,       // S
  kSeparator = 6,    // Z
  kOther = 7,        // Cc, Cf, Co, Cs
};

// kUnassigned for values above U+10FFFF.
CharClass ClassOf(uint32_t code_point);

// The property White_Space; not the same as kSeparator (a tab is one, U+200B is neither).
bool IsWhitespace(uint32_t code_point);

namespace unicode_internal {

// Ascending; each entry is the first code point of a range << 8 | its CharClass. A range ends where
// the next one begins. The first entry is for U+0000.
extern const uint32_t kRanges[];
extern const size_t kRangeCount;

}  // namespace unicode_internal
}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_TOKENIZER_UNICODE_H_
