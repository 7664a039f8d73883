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

// Keys and values of one or more KV heads, in memory of exactly their size.
class TestKv {
 public:
  TestKv(DType type, int64_t positions, int64_t kv_heads, int64_t head_width, std::mt19937* random)
      : type_(type), width_(head_width), part_bytes_(kv_heads * KvPartBytes(type, head_width)) {
    const int64_t count = (positions + kAttentionPart - 1) / kAttentionPart;
    memory_ = AlignedBuffer(count * part_bytes_);
    for (int64_t i = 0; i < count; ++i) parts_.push_back(memory_.data() + i * part_bytes_);
    for (int64_t i = 0; i < count * kv_heads; ++i) {
      Fill(memory_.data() + i * KvPartBytes(type, head_width), random);
    }
  }

  uint8_t* const* parts() const { return parts_.data(); }

  float key(int64_t position, int64_t d, int64_t kv_head = 0) const {
    return Number(Head(position, kv_head), KeyPlace(width_, position, d),
                  KeyPlace(KvBlocks(width_), position, d / kKvBlock));
  }
  float value(int64_t position, int64_t d, int64_t kv_head = 0) const {
    return Number(Head(position, kv_head), ValuePlace(width_, position, d),
                  ValuePlace(KvBlocks(width_), position, d / kKvBlock));
  }

  // Of the first KV head, dimension 0 and what shares a scale with it become no number.
  void SpoilKey(int64_t position) const {
    Spoil(position, KeyPlace(type_ == DType::kF16 ? width_ : KvBlocks(width_), position, 0));
  }
  void SpoilValue(int64_t position) const {
    Spoil(position, ValuePlace(type_ == DType::kF16 ? width_ : KvBlocks(width_), position, 0));
  }

 private:
  // `row`: numbers, or scales, of a position.
  static int64_t KeyPlace(int64_t row, int64_t position, int64_t i) {
    const int64_t in_part = position % kAttentionPart;
    return in_part / kKeyGroup * kKeyGroup * row + i * kKeyGroup + in_part % kKeyGroup;
  }
  static int64_t ValuePlace(int64_t row, int64_t position, int64_t i) {
    return (kAttentionPart + position % kAttentionPart) * row + i;
  }
  uint8_t* Head(int64_t position, int64_t kv_head) const {
    return parts_[position / kAttentionPart] + kv_head * KvPartBytes(type_, width_);
  }
  uint16_t* Halves(uint8_t* head) const {
    const int64_t numbers = type_ == DType::kQ8_0 ? 2 * kAttentionPart * width_ : 0;
    return reinterpret_cast<uint16_t*>(head + numbers);
  }
  float Number(uint8_t* head, int64_t place, int64_t scale) const {
    if (type_ == DType::kF16) return HalfToFloat(Halves(head)[place]);
    return HalfToFloat(Halves(head)[scale]) * static_cast<float>(static_cast<int8_t>(head[place]));
  }
  void Spoil(int64_t position, int64_t place) const {
    constexpr uint16_t kNotANumber = 0x7e00;
    Halves(Head(position, 0))[place] = kNotANumber;
  }
  void Fill(uint8_t* head, std::mt19937* random) const {
    const float bound = type_ == DType::kQ8_0 ? 1.0f / 127 : 1.0f;
    const int64_t row = type_ == DType::kQ8_0 ? KvBlocks(width_) : width_;
    const std::vector<float> floats = RandomFloats(2 * kAttentionPart * row, bound, random);
    for (size_t i = 0; i < floats.size(); ++i) Halves(head)[i] = FloatToHalf(floats[i]);
    if (type_ != DType::kQ8_0) return;
    std::uniform_int_distribution<int> byte(-127, 127);
    std::generate_n(head, 2 * kAttentionPart * width_,
                    [&] { return static_cast<uint8_t>(byte(*random)); });
  }

  DType type_;
  int64_t width_;
  int64_t part_bytes_;
  AlignedBuffer memory_;
  std::vector<uint8_t*> parts_;
};

}  // namespace nearfar

#endif  // NEARFAR_TESTS_LOCAL_ENGINE_KERNELS_KERNEL_TESTING_H_
