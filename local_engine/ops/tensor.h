// A borrowed weight matrix.

#ifndef NEARFAR_LOCAL_ENGINE_OPS_TENSOR_H_
#define NEARFAR_LOCAL_ENGINE_OPS_TENSOR_H_

#include <cstdint>

#include "local_engine/quant/dtype.h"

namespace nearfar {

// [rows, cols], row by row as it stands in a file, or in strips of 16 rows (packing/packing.h):
// what is quantized is multiplied packed. Immutable, borrowed.
struct Matrix {
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  const uint8_t* data = nullptr;
  int64_t stride = 0;   // bytes from a strip, or a row, to the next
  bool packed = false;  // in strips
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_OPS_TENSOR_H_
