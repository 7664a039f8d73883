// A borrowed weight matrix.

#ifndef NEARFAR_LOCAL_ENGINE_OPS_TENSOR_H_
#define NEARFAR_LOCAL_ENGINE_OPS_TENSOR_H_

#include <cstdint>

#include "local_engine/quant/dtype.h"

namespace nearfar {

// [rows, cols], row-major in blocks of its format, as it stands in the file. Immutable, borrowed.
struct Matrix {
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  const uint8_t* data = nullptr;
  int64_t row_bytes = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_OPS_TENSOR_H_
