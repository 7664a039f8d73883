// Whether bytes are UTF-8. Internal to local_engine/gguf/; the tokenizer has its own, which
// decodes. Held by tests/local_engine/gguf/utf8_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_GGUF_UTF8_H_
#define NEARFAR_LOCAL_ENGINE_GGUF_UTF8_H_

#include <string_view>

namespace nearfar {

// True if `text` is well-formed UTF-8 (Unicode 15, table 3-7: no overlong form, no surrogate,
// nothing above U+10FFFF).
bool IsUtf8(std::string_view text);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_GGUF_UTF8_H_
