// Small but whole models with random weights, for tests of everything above the file format.
//
// Two layers, width 64 (256 for the K formats, whose blocks are that long), 4 query and 2 key
// heads, a byte-level BPE vocabulary of 256 bytes, some merges and the ChatML special tokens. The
// same options give the same bytes on every machine.

#ifndef NEARFAR_TESTS_TESTING_TINY_MODEL_H_
#define NEARFAR_TESTS_TESTING_TINY_MODEL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "local_engine/quant/dtype.h"
#include "tests/testing/gguf_writer.h"

namespace nearfar::testing {

struct TinyModelOptions {
  std::string architecture = "llama";  // or "qwen2": biases on q, k, v and the qwen2 pre-tokenizer
  DType weights = DType::kF32;         // of every matrix; norms and biases are F32
  bool tied_embeddings = true;         // the output matrix is the embedding
  int layers = 2;
  int context = 512;
  uint64_t seed = 1;
};

// The pieces, for tests that change one thing before they finish the file.
GgufWriter TinyModel(const TinyModelOptions& options);

std::vector<uint8_t> TinyModelBytes(const TinyModelOptions& options);

// Writes it to the test's temporary folder; returns the path.
std::string WriteTinyModel(const TinyModelOptions& options, const std::string& name = "tiny.gguf");

// What stands in the vocabulary, by id: 256 bytes, then merged texts, then these specials.
struct TinyVocabulary {
  std::vector<std::string> tokens;  // in GPT-2's printable byte alphabet
  std::vector<std::string> merges;  // "a b"
  std::vector<int32_t> types;       // 1 normal, 3 control
  int32_t end_of_text;              // <|endoftext|>
  int32_t im_start;                 // <|im_start|>
  int32_t im_end;                   // <|im_end|>, also the end-of-turn id of the file
};
const TinyVocabulary& TheTinyVocabulary();

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_TINY_MODEL_H_
