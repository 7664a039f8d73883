// UTF-8 at the router's edges: whatever a side sends, what the app and the log get is valid and
// ends on a code-point boundary. Definition: Unicode 15, table 3-7 (no overlong forms, no
// surrogates). Held by tests/router/internal/utf8_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_UTF8_H_
#define NEARFAR_ROUTER_INTERNAL_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace nearfar::internal {

// What stands at the front of a text.
struct CodePoint {
  enum class Kind { kValid, kInvalid, kIncomplete };
  Kind kind = Kind::kInvalid;
  size_t length = 1;   // bytes of it; of kInvalid those that one U+FFFD replaces
  char32_t value = 0;  // of kValid
};
// `text` is not empty.
CodePoint FirstCodePoint(std::string_view text);

bool IsValidUtf8(std::string_view text);

// Every invalid or incomplete sequence replaced by U+FFFD.
std::string ToValidUtf8(std::string_view text);

// Joins pieces that may be cut inside a code point. One caller at a time.
class Utf8Joiner {
 public:
  // The valid text that is complete after this piece; the start of a code point waits.
  std::string Add(std::string_view piece);
  // What waits will not be completed: U+FFFD, or nothing.
  std::string Finish();

 private:
  std::string waiting_;
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_UTF8_H_
