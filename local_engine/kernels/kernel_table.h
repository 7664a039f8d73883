// What an instruction set offers: one table of plain functions and its name.
//
// Kernels are leaves: they start no thread, allocate nothing, keep no state and never fail; a
// caller in local_engine/ops/ cuts the work and brings the scratch memory. This header is included
// by files that are compiled for different instruction sets, so it holds data and declarations
// alone: an inline function here would be merged by the linker and could crash an older CPU. Held
// by tests/local_engine/kernels/.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_KERNEL_TABLE_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_KERNEL_TABLE_H_

#include <stdint.h>

#include "local_engine/quant/dtype.h"

namespace nearfar {

// Activations are quantized in blocks of 32, whatever the block of the weights is.
constexpr int kActivationBlock = 32;

// x[i] ~ scale * value[i], value in [-127, 127]. The sums serve formats that store an offset.
// Where an x[i] is not finite, scale and sum are NaN and all else is anything.
struct ActivationBlock {
  float scale;
  float sum;              // scale * (sum of the 32 values)
  int32_t minus_sum;      // -(sum of the 32 values)
  int32_t minus_sum_low;  // -(sum of values 0..15)
};

// A row is quantized in whole pairs of blocks, because weights are packed in pairs.
static constexpr int64_t ActivationBlocks(int64_t width) {
  constexpr int64_t kPair = 2 * kActivationBlock;
  return (width + kPair - 1) / kPair * 2;
}

// Borrowed activations of `tokens` tokens. blocks_per_token = ActivationBlocks(width); values and
// blocks beyond the width are as if x went on with zeros.
struct ActivationView {
  const int8_t* values;           // [tokens, blocks_per_token, 32]; null if only floats are kept
  const ActivationBlock* blocks;  // [tokens, blocks_per_token]; null with values
  const float* floats;            // [tokens, width]; null if only values are kept
  int64_t tokens;
  int64_t width;
  int64_t blocks_per_token;
};

// Which of the two a matrix product reads.
enum class ActivationForm : uint8_t { kQuantized = 1, kFloat = 2 };

// out[t * out_stride + r] = sum over c of weights[r][c] * x[t][c] (+ bias[r]), for r in [0, rows)
// and all t. What a token gets does not depend, bit for bit, on the tokens beside it or on `rows`.
struct MatMulArgs {
  const uint8_t* weights;  // packed: strips (packing/packing.h); float formats: rows
  int64_t weight_stride;   // bytes from a strip, or a row, to the next
  int64_t rows;
  int64_t cols;  // a whole number of the format's blocks
  ActivationView x;
  const float* bias;  // [rows] or null
  float* out;
  int64_t out_stride;
  uint8_t* scratch;  // kernels.matmul_scratch_bytes(cols), aligned to 64
};
using MatMulFn = void (*)(const MatMulArgs& args);

struct FormatKernel {
  DType dtype;
  ActivationForm form;
  MatMulFn matmul;
};

// Attention of some query rows to one part of the positions of one KV head. The online softmax of a
// row over a part is a state: {largest score, sum of weights, 6 unused, weighted
// values[head_width]}.
constexpr int kAttentionPart = 256;     // positions of a part; parts start at multiples of it
constexpr int kAttentionStateHead = 8;  // floats before the weighted values
// What is kept of a part and a KV head lies together: keys in groups of positions, dimension d of
// position p at [p / 16][d][p % 16]; behind them the values [kAttentionPart, head_width]. F16
// numbers, or Q8_0: int8, and behind the values the F16 scales of blocks of up to 32 dimensions, of
// keys [p / 16][block][p % 16] and of values [kAttentionPart, blocks].
constexpr int kKeyGroup = 16;
constexpr int kKvBlock = 32;
static constexpr int64_t KvBlocks(int64_t head_width) {
  return (head_width + kKvBlock - 1) / kKvBlock;
}
static constexpr int64_t KvPartBytes(DType type, int64_t head_width) {
  constexpr int64_t kHalf = static_cast<int64_t>(sizeof(uint16_t));
  const int64_t row =
      type == DType::kQ8_0 ? head_width + KvBlocks(head_width) * kHalf : head_width * kHalf;
  return 2 * kAttentionPart * row;
}
struct AttentionPartArgs {
  const float* const* queries;  // [rows], each [head_width]
  const int32_t* visible;       // [rows] how many of the part's positions a row sees, >= 0
  int rows;
  const uint8_t* kv;  // KvPartBytes(type, head_width), aligned to 64, as far as a row sees
  int64_t head_width;
  float scale;
  float* const* states;  // [rows], each attention_state_floats(head_width), overwritten
  uint8_t* scratch;      // attention_scratch_bytes(head_width, rows), aligned to 64
};

// What depends on how keys and values are kept.
struct KvKernel {
  DType type;  // kF16 or kQ8_0
  // Key and value [head_width] of one position in [0, kAttentionPart) to the part `kv`. F16: to
  // nearest even; too large becomes infinity. Q8_0: a block that is not finite is no number.
  void (*store)(const float* key, const float* value, int64_t head_width, int position,
                uint8_t* kv);
  void (*attention_part)(const AttentionPartArgs& args);
};

struct RopeArgs {
  float* x;            // [heads, head_width], one token
  const float* table;  // [rope_width]: cos at even, sin at odd places
  int64_t heads;
  int64_t head_width;
  int64_t rope_width;
  bool interleaved;
};

constexpr int64_t kMostDotRounds = 1 << 24;  // so that sums of a round stay within 32 bits

constexpr int64_t kSumGrain = 128;

constexpr int kMaxFormatKernels = 16;
constexpr int kKvKernels = 2;

// Immutable; every function is thread-safe.
struct KernelTable {
  const char* name;
  FormatKernel formats[kMaxFormatKernels];  // ends at the first null `matmul`
  int64_t (*matmul_scratch_bytes)(int64_t cols);

  // x [width] to values [blocks, 32] and blocks, blocks = ActivationBlocks(width).
  void (*quantize)(const float* x, int64_t width, int8_t* values, ActivationBlock* blocks);
  // out may be x.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int64_t width, float* out);
  // out[i] = silu(gate[i]) * up[i].
  void (*silu_mul)(const float* gate, const float* up, int64_t width, float* out);
  void (*add)(float* x, const float* y, int64_t n);
  void (*rope)(const RopeArgs& args);
  int64_t (*attention_state_floats)(int64_t head_width);
  int64_t (*attention_scratch_bytes)(int64_t head_width, int64_t rows);
  KvKernel kv[kKvKernels];
  // Folds the state of the next part into `into`. Fold parts in order: the order is part of the
  // result.
  void (*attention_merge)(float* into, const float* part, int64_t head_width);
  // out [head_width] = weighted values / sum of weights.
  void (*attention_finish)(const float* state, int64_t head_width, float* out);

  // Dot products of blocks of activations and rows of weights, out of registers, for measuring what
  // the instruction set can do at most. dot_round_ops: multiplications and additions of one round.
  // dot_rounds returns how many dot products were computed, which is what their results add up to:
  // rounds * dot_round_ops / (2 * kActivationBlock). rounds <= kMostDotRounds.
  int64_t dot_round_ops;
  int64_t (*dot_rounds)(int64_t rounds);
  // The sum of x [n], n a multiple of kSumGrain, in any order: for measuring how fast memory is
  // read.
  float (*sum_stream)(const float* x, int64_t n);
};

// The entry for `dtype`, or nullptr.
const FormatKernel* FindFormatKernel(const KernelTable& table, DType dtype);

// The entry for `type`, which is one of the two.
const KvKernel& FindKvKernel(const KernelTable& table, DType type);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_KERNEL_TABLE_H_
