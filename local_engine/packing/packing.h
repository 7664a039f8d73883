// Quantized weights from the file's order to the kernels' (tiles.h), and back.
// Held by tests/local_engine/packing/packing_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_PACKING_PACKING_H_
#define NEARFAR_LOCAL_ENGINE_PACKING_PACKING_H_

#include <cstdint>

#include "local_engine/packing/tiles.h"
#include "local_engine/quant/dtype.h"

namespace nearfar {

// Changes with every change of tiles.h, so that nobody reads another version's packed file.
inline constexpr int kPackedLayoutVersion = 2;

struct PackedFormat {
  DType dtype;
  int tile_columns;
  int tile_bytes;
  // `rows` [1, 16] rows of `cols` weights, `row_bytes` apart, to one strip.
  void (*pack)(const uint8_t* from, int64_t row_bytes, int rows, int64_t cols, uint8_t* strip);
  // One row of a strip as it stood in the file.
  void (*unpack)(const uint8_t* strip, int row, int64_t cols, uint8_t* to);

  int64_t StripBytes(int64_t cols) const {
    return (cols + tile_columns - 1) / tile_columns * tile_bytes;
  }
  int64_t MatrixBytes(int64_t rows, int64_t cols) const {
    return (rows + kStripRows - 1) / kStripRows * StripBytes(cols);
  }
};

// nullptr for the float formats, which stay as they are.
const PackedFormat* FindPackedFormat(DType dtype);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_PACKING_PACKING_H_
