// The list of weight formats, each with its plain reference: encode, decode and dot in scalar C++
// with f32 arithmetic. This is the truth that every kernel is tested against; speed lives in
// local_engine/kernels/. A new format is one file beside this and one line in formats.cc.
// Held by tests/local_engine/quant/formats_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_QUANT_FORMATS_H_
#define NEARFAR_LOCAL_ENGINE_QUANT_FORMATS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "local_engine/quant/dtype.h"

namespace nearfar {

struct QuantFormat {
  DType dtype;
  const char* name;    // as GGUF tools spell it: "Q4_K"
  int block_elements;  // weights of one block; a row is a whole number of blocks
  int block_bytes;
  // n is a multiple of block_elements everywhere.
  void (*encode)(const float* from, uint8_t* to, int64_t n);
  void (*decode)(const uint8_t* from, float* to, int64_t n);
  // Sum of decode(weights)[i] * x[i], accumulated in double.
  double (*dot)(const uint8_t* weights, const float* x, int64_t n);

  int64_t RowBytes(int64_t columns) const { return columns / block_elements * block_bytes; }
};

absl::Span<const QuantFormat> AllFormats();

// nullptr if the type is not one that this engine reads.
const QuantFormat* FindFormat(DType dtype);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_QUANT_FORMATS_H_
