// What the kernel tests share: the tables that this CPU can run, and weights and activations made
// up to be hard.

#ifndef NEARFAR_TESTS_LOCAL_ENGINE_KERNELS_KERNEL_TESTING_H_
#define NEARFAR_TESTS_LOCAL_ENGINE_KERNELS_KERNEL_TESTING_H_

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "local_engine/base/aligned_buffer.h"
#include "local_engine/base/half.h"
#include "local_engine/kernels/dispatch.h"
#include "local_engine/kernels/kernel_table.h"
#include "local_engine/packing/packing.h"
#include "local_engine/quant/formats.h"

namespace nearfar {

// With the reference table, which the tests hold to the same rules.
inline std::vector<const KernelTable*> TablesOfThisCpu() {
  std::vector<const KernelTable*> tables;
  for (const KernelChoice& choice : AllKernels()) {
    if (choice.supported(ThisCpu())) tables.push_back(choice.table);
  }
  return tables;
}

// Places of a block's F16 scales and offsets; everything else in a block may be any bytes.
inline std::vector<int> HalfPlaces(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
    case DType::kQ5_0:
    case DType::kQ8_0:
      return {0};
    case DType::kQ6_K:
      return {208};
    default:
      return {0, 2};
  }
}

inline std::vector<float> RandomFloats(int64_t n, float bound, std::mt19937* random) {
  std::uniform_real_distribution<float> uniform(-bound, bound);
  std::vector<float> floats(n);
  for (float& x : floats) x = uniform(*random);
  return floats;
}

// `bytes` hold rows as they stand in a file; what a product reads: packed, in memory of exactly its
// size, or the same where the format is not packed.
struct TestWeights {
  AlignedBuffer bytes;
  int64_t stride;
};

inline TestWeights Pack(const QuantFormat& format, const std::vector<uint8_t>& bytes, int64_t rows,
                        int64_t cols) {
  const int64_t row_bytes = format.RowBytes(cols);
  const PackedFormat* packed = FindPackedFormat(format.dtype);
  if (packed == nullptr) {
    TestWeights weights = {AlignedBuffer(bytes.size()), row_bytes};
    std::copy(bytes.begin(), bytes.end(), weights.bytes.data());
    return weights;
  }
  TestWeights weights = {AlignedBuffer(packed->MatrixBytes(rows, cols)), packed->StripBytes(cols)};
  for (int64_t row = 0; row < rows; row += kStripRows) {
    packed->pack(bytes.data() + row * row_bytes, row_bytes,
                 static_cast<int>(std::min<int64_t>(rows - row, kStripRows)), cols,
                 weights.bytes.data() + row / kStripRows * weights.stride);
  }
  return weights;
}

// Quantized activations that own their memory, each array of exactly its size so that a sanitizer
// sees a step beyond it.
struct TestActivations {
  std::vector<int8_t> values;
  std::vector<ActivationBlock> blocks;
  std::vector<float> floats;
  int64_t tokens = 0;
  int64_t width = 0;

  ActivationView view(int64_t first, int64_t count) const {
    const int64_t per_token = ActivationBlocks(width);
    return {.values = values.data() + first * per_token * kActivationBlock,
            .blocks = blocks.data() + first * per_token,
            .floats = floats.data() + first * width,
            .tokens = count,
            .width = width,
            .blocks_per_token = per_token};
  }
  // What the int8 form stands for.
  double Dequantized(int64_t token, int64_t column) const {
    const int64_t per_token = ActivationBlocks(width);
    const int64_t block = token * per_token + column / kActivationBlock;
    const int64_t at = block * kActivationBlock + column % kActivationBlock;
    return static_cast<double>(blocks[block].scale) * values[at];
  }
};

inline TestActivations MakeActivations(const KernelTable& table, std::vector<float> floats,
                                       int64_t tokens, int64_t width) {
  TestActivations x;
  x.floats = std::move(floats);
  x.tokens = tokens;
  x.width = width;
  const int64_t per_token = ActivationBlocks(width);
  x.values.resize(tokens * per_token * kActivationBlock);
  x.blocks.resize(tokens * per_token);
  for (int64_t t = 0; t < tokens; ++t) {
    table.quantize(x.floats.data() + t * width, width,
                   x.values.data() + t * per_token * kActivationBlock,
                   x.blocks.data() + t * per_token);
  }
  return x;
}

// Keys and values of one or more KV heads, F16, in memory of exactly their size.
class TestKv {
 public:
  TestKv(int64_t positions, int64_t kv_heads, int64_t head_width, std::mt19937* random)
      : head_width_(head_width), part_bytes_(kv_heads * KvPartBytes(head_width)) {
    const int64_t count = (positions + kAttentionPart - 1) / kAttentionPart;
    memory_ = AlignedBuffer(count * part_bytes_);
    for (int64_t i = 0; i < count; ++i) parts_.push_back(memory_.data() + i * part_bytes_);
    const int64_t halves = static_cast<int64_t>(memory_.size() / sizeof(uint16_t));
    const std::vector<float> floats = RandomFloats(halves, 1.0f, random);
    for (int64_t i = 0; i < halves; ++i) memory_.as<uint16_t>()[i] = FloatToHalf(floats[i]);
  }

  uint8_t* const* parts() const { return parts_.data(); }
  uint16_t& key(int64_t position, int64_t d, int64_t kv_head = 0) const {
    const int64_t in_part = position % kAttentionPart;
    return Head(position, kv_head)[in_part / kKeyGroup * kKeyGroup * head_width_ + d * kKeyGroup +
                                   in_part % kKeyGroup];
  }
  uint16_t& value(int64_t position, int64_t d, int64_t kv_head = 0) const {
    return Head(position, kv_head)[(kAttentionPart + position % kAttentionPart) * head_width_ + d];
  }

 private:
  uint16_t* Head(int64_t position, int64_t kv_head) const {
    return reinterpret_cast<uint16_t*>(parts_[position / kAttentionPart] +
                                       kv_head * KvPartBytes(head_width_));
  }

  int64_t head_width_;
  int64_t part_bytes_;
  AlignedBuffer memory_;
  std::vector<uint8_t*> parts_;
};

}  // namespace nearfar

#endif  // NEARFAR_TESTS_LOCAL_ENGINE_KERNELS_KERNEL_TESTING_H_
