// Reads the golden files that tests/oracle/tokenizer_golden.py writes: one JSON object a line, with
// names, numbers, hex texts and lists of them, and nothing else.

#ifndef NEARFAR_TESTS_LOCAL_ENGINE_TOKENIZER_GOLDEN_H_
#define NEARFAR_TESTS_LOCAL_ENGINE_TOKENIZER_GOLDEN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "local_engine/gguf/gguf_file.h"
#include "local_engine/tokenizer/tokenizer.h"

namespace nearfar::testing {

// The lines of tests/oracle/golden/<name>; fails the test if it cannot be read.
std::vector<std::string> GoldenLines(const std::string& name);

// What stands behind "name": in a line, up to the comma or bracket that ends it; quotes are taken
// off. Fails the test if it is not there.
std::string GoldenField(std::string_view line, std::string_view name);
std::vector<int32_t> GoldenIds(std::string_view line, std::string_view name);

std::string FromHex(std::string_view hex);

// A default model's file and tokenizer.
struct ModelTokenizer {
  std::unique_ptr<GgufFile> file;
  std::unique_ptr<const Tokenizer> tokenizer;
};

// Empty pointers where the file is not in ${NEARFAR_MODELS:-~/.cache/nearfar/models}; fails the
// test if it is there and cannot be used.
ModelTokenizer OpenModelTokenizer(const std::string& file_name);

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_LOCAL_ENGINE_TOKENIZER_GOLDEN_H_
