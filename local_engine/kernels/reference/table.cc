// The plain path: weights decoded by quant/formats.h, activations kept in f32, sums in double,
// every loop as the formula reads. It is what other tables' answers are measured against (the
// divergence that 8-bit activations cost), and is used only where it is asked for by name. Held by
// tests/local_engine/kernels/.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

#include "local_engine/base/half.h"
#include "local_engine/kernels/tables.h"
#include "local_engine/packing/packing.h"
#include "local_engine/quant/formats.h"

namespace nearfar {
namespace {

constexpr float kNoNumber = std::numeric_limits<float>::quiet_NaN();

// A decoded row, and the row as it stood in the file: no format has more than four bytes a weight.
int64_t ScratchBytes(int64_t cols) { return 2 * cols * static_cast<int64_t>(sizeof(float)); }

template <DType kType>
void MatMul(const MatMulArgs& args) {
  const QuantFormat* format = FindFormat(kType);
  const PackedFormat* packed = FindPackedFormat(kType);
  float* weights = reinterpret_cast<float*>(args.scratch);
  uint8_t* file_row = args.scratch + args.cols * sizeof(float);
  for (int64_t row = 0; row < args.rows; ++row) {
    const uint8_t* from = args.weights + row * args.weight_stride;
    if (packed != nullptr) {
      const uint8_t* strip = args.weights + row / kStripRows * args.weight_stride;
      packed->unpack(strip, static_cast<int>(row % kStripRows), args.cols, file_row);
      from = file_row;
    }
    format->decode(from, weights, args.cols);
    for (int64_t token = 0; token < args.x.tokens; ++token) {
      const float* x = args.x.floats + token * args.x.width;
      double sum = args.bias == nullptr ? 0.0 : args.bias[row];
      for (int64_t i = 0; i < args.cols; ++i) sum += static_cast<double>(weights[i]) * x[i];
      args.out[token * args.out_stride + row] = static_cast<float>(sum);
    }
  }
}

void QuantizeHalf(const float* x, int64_t n, float inverse, int8_t* values, int32_t* sum) {
  *sum = 0;
  for (int64_t i = 0; i < kActivationBlock / 2; ++i) {
    values[i] = i < n ? static_cast<int8_t>(std::nearbyint(x[i] * inverse)) : int8_t{0};
    *sum += values[i];
  }
}

void Quantize(const float* x, int64_t width, int8_t* values, ActivationBlock* blocks) {
  constexpr int64_t kHalf = kActivationBlock / 2;
  for (int64_t i = 0; i < ActivationBlocks(width) * kActivationBlock;
       i += kActivationBlock, ++blocks) {
    const int64_t n = std::clamp<int64_t>(width - i, 0, kActivationBlock);
    float largest = 0;
    bool finite = true;
    for (int64_t k = 0; k < n; ++k) {
      largest = std::max(largest, std::fabs(x[i + k]));
      finite = finite && std::isfinite(x[i + k]);
    }
    if (!finite) {
      std::fill_n(values + i, kActivationBlock, int8_t{0});
      *blocks = {kNoNumber, kNoNumber, 0, 0};
      continue;
    }
    const bool silent = largest < 1e-35f;
    const float inverse = silent ? 0.0f : 127.0f / largest;
    int32_t low, high;
    QuantizeHalf(x + i, n, inverse, values + i, &low);
    QuantizeHalf(x + i + kHalf, n - kHalf, inverse, values + i + kHalf, &high);
    const float scale = silent ? 0.0f : largest / 127.0f;
    *blocks = {scale, scale * static_cast<float>(low + high), -(low + high), -low};
  }
}

void RmsNorm(const float* x, const float* weight, float epsilon, int64_t width, float* out) {
  double squares = 0;
  for (int64_t i = 0; i < width; ++i) squares += static_cast<double>(x[i]) * x[i];
  const double scale = 1.0 / std::sqrt(squares / static_cast<double>(width) + epsilon);
  for (int64_t i = 0; i < width; ++i) out[i] = static_cast<float>(x[i] * scale * weight[i]);
}

void SiluMul(const float* gate, const float* up, int64_t width, float* out) {
  for (int64_t i = 0; i < width; ++i) {
    const double g = gate[i];
    out[i] = static_cast<float>(g / (1.0 + std::exp(-g)) * up[i]);
  }
}

void Add(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] += y[i];
}

void Rope(const RopeArgs& args) {
  const int64_t half = args.rope_width / 2;
  for (int64_t head = 0; head < args.heads; ++head) {
    float* x = args.x + head * args.head_width;
    for (int64_t i = 0; i < half; ++i) {
      float* a = x + (args.interleaved ? 2 * i : i);
      float* b = x + (args.interleaved ? 2 * i + 1 : half + i);
      const float cosine = args.table[2 * i], sine = args.table[2 * i + 1];
      const float rotated = *a * cosine - *b * sine;
      *b = *a * sine + *b * cosine;
      *a = rotated;
    }
  }
}

// Where a part (kernel_table.h) keeps what it has of a position. `row`: of each position in a
// group.
int64_t KeyPlace(int64_t row, int position, int64_t i) {
  return position / kKeyGroup * row * kKeyGroup + i * kKeyGroup + position % kKeyGroup;
}
int64_t ValuePlace(int64_t row, int position, int64_t i) {
  return (kAttentionPart + position) * row + i;
}

struct HalfKv {
  static float Key(const uint8_t* kv, int64_t width, int position, int64_t d) {
    return HalfToFloat(reinterpret_cast<const uint16_t*>(kv)[KeyPlace(width, position, d)]);
  }
  static float Value(const uint8_t* kv, int64_t width, int position, int64_t d) {
    return HalfToFloat(reinterpret_cast<const uint16_t*>(kv)[ValuePlace(width, position, d)]);
  }
  static void Store(const float* key, const float* value, int64_t width, int position,
                    uint8_t* kv) {
    uint16_t* halves = reinterpret_cast<uint16_t*>(kv);
    for (int64_t d = 0; d < width; ++d) {
      halves[KeyPlace(width, position, d)] = FloatToHalf(key[d]);
      halves[ValuePlace(width, position, d)] = FloatToHalf(value[d]);
    }
  }
};

struct ByteKv {
  static float Key(const uint8_t* kv, int64_t width, int position, int64_t d) {
    const int64_t scale = KeyPlace(KvBlocks(width), position, d / kKvBlock);
    return HalfToFloat(Scales(kv, width)[scale]) * Number(kv, KeyPlace(width, position, d));
  }
  static float Value(const uint8_t* kv, int64_t width, int position, int64_t d) {
    const int64_t scale = ValuePlace(KvBlocks(width), position, d / kKvBlock);
    return HalfToFloat(Scales(kv, width)[scale]) * Number(kv, ValuePlace(width, position, d));
  }
  static void Store(const float* key, const float* value, int64_t width, int position,
                    uint8_t* kv) {
    StoreRow(key, width, position, KeyPlace, kv);
    StoreRow(value, width, position, ValuePlace, kv);
  }

 private:
  static const uint16_t* Scales(const uint8_t* kv, int64_t width) {
    return reinterpret_cast<const uint16_t*>(kv + 2 * kAttentionPart * width);
  }
  static float Number(const uint8_t* kv, int64_t place) {
    return reinterpret_cast<const int8_t*>(kv)[place];
  }
  template <typename Place>
  static void StoreRow(const float* x, int64_t width, int position, Place place, uint8_t* kv) {
    uint16_t* scales = reinterpret_cast<uint16_t*>(kv + 2 * kAttentionPart * width);
    for (int64_t block = 0; block < KvBlocks(width); ++block) {
      const int64_t begin = block * kKvBlock, end = std::min(begin + kKvBlock, width);
      int8_t values[2 * kActivationBlock];
      ActivationBlock quantized[2];
      Quantize(x + begin, end - begin, values, quantized);
      scales[place(KvBlocks(width), position, block)] = FloatToHalf(quantized[0].scale);
      for (int64_t d = begin; d < end; ++d) {
        reinterpret_cast<int8_t*>(kv)[place(width, position, d)] = values[d - begin];
      }
    }
  }
};

int64_t AttentionStateFloats(int64_t head_width) { return kAttentionStateHead + head_width; }
int64_t AttentionScratchBytes(int64_t, int64_t) { return 64; }

template <typename Kv>
double Score(const float* query, const uint8_t* kv, int64_t head_width, int position) {
  double sum = 0;
  for (int64_t d = 0; d < head_width; ++d) {
    sum += static_cast<double>(query[d]) * Kv::Key(kv, head_width, position, d);
  }
  return sum;
}

template <typename Kv>
void AttentionRow(const AttentionPartArgs& args, int row) {
  const int visible = args.visible[row];
  float* state = args.states[row];
  std::fill_n(state, AttentionStateFloats(args.head_width), 0.0f);
  state[0] = -std::numeric_limits<float>::infinity();
  float scores[kAttentionPart];
  for (int i = 0; i < visible; ++i) {
    const double score = Score<Kv>(args.queries[row], args.kv, args.head_width, i);
    scores[i] = static_cast<float>(args.scale * score);
    state[0] = std::max(state[0], scores[i]);
  }
  for (int i = 0; i < visible; ++i) {
    scores[i] = std::exp(scores[i] - state[0]);
    state[1] += scores[i];
  }
  for (int64_t d = 0; d < args.head_width; ++d) {
    double sum = 0;
    for (int i = 0; i < visible; ++i) {
      sum += static_cast<double>(scores[i]) * Kv::Value(args.kv, args.head_width, i, d);
    }
    state[kAttentionStateHead + d] = static_cast<float>(sum);
  }
}

template <typename Kv>
void AttentionPart(const AttentionPartArgs& args) {
  for (int row = 0; row < args.rows; ++row) AttentionRow<Kv>(args, row);
}

void AttentionMerge(float* into, const float* part, int64_t head_width) {
  if (part[1] == 0.0f) return;
  const float largest = std::max(into[0], part[0]);
  const float mine = std::exp(into[0] - largest), theirs = std::exp(part[0] - largest);
  into[0] = largest;
  into[1] = mine * into[1] + theirs * part[1];
  for (int64_t d = kAttentionStateHead; d < kAttentionStateHead + head_width; ++d) {
    into[d] = mine * into[d] + theirs * part[d];
  }
}

void AttentionFinish(const float* state, int64_t head_width, float* out) {
  for (int64_t d = 0; d < head_width; ++d) out[d] = state[kAttentionStateHead + d] / state[1];
}

// As kernels/common/limits-inl.h, of one row and one token.
int64_t DotRounds(int64_t rounds) {
  float weights[kActivationBlock], values[kActivationBlock];
  for (int i = 0; i < kActivationBlock; ++i) {
    weights[i] = 1;
    values[i] = i % 2 == 0 ? 1 : -1;
  }
  values[kActivationBlock - 1] = 0;
  double sum = 0;
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : : "r"(weights), "r"(values) : "memory");
    for (int i = 0; i < kActivationBlock; ++i) sum += static_cast<double>(weights[i]) * values[i];
  }
  return static_cast<int64_t>(sum);
}

// Sums side by side: one alone would wait for itself, not for memory.
float SumStream(const float* x, int64_t n) {
  float sums[kSumGrain] = {};
  for (int64_t i = 0; i < n; i += kSumGrain) {
    for (int64_t k = 0; k < kSumGrain; ++k) sums[k] += x[i + k];
  }
  return std::accumulate(sums, sums + kSumGrain, 0.0f);
}

}  // namespace

constexpr KernelTable kReferenceKernels = {
    .name = "reference",
    .formats =
        {
            {DType::kF32, ActivationForm::kFloat, MatMul<DType::kF32>},
            {DType::kF16, ActivationForm::kFloat, MatMul<DType::kF16>},
            {DType::kBF16, ActivationForm::kFloat, MatMul<DType::kBF16>},
            {DType::kQ4_0, ActivationForm::kFloat, MatMul<DType::kQ4_0>},
            {DType::kQ4_1, ActivationForm::kFloat, MatMul<DType::kQ4_1>},
            {DType::kQ5_0, ActivationForm::kFloat, MatMul<DType::kQ5_0>},
            {DType::kQ5_1, ActivationForm::kFloat, MatMul<DType::kQ5_1>},
            {DType::kQ8_0, ActivationForm::kFloat, MatMul<DType::kQ8_0>},
            {DType::kQ4_K, ActivationForm::kFloat, MatMul<DType::kQ4_K>},
            {DType::kQ5_K, ActivationForm::kFloat, MatMul<DType::kQ5_K>},
            {DType::kQ6_K, ActivationForm::kFloat, MatMul<DType::kQ6_K>},
        },
    .matmul_scratch_bytes = ScratchBytes,
    .quantize = Quantize,
    .rms_norm = RmsNorm,
    .silu_mul = SiluMul,
    .add = Add,
    .rope = Rope,
    .attention_state_floats = AttentionStateFloats,
    .attention_scratch_bytes = AttentionScratchBytes,
    .kv = {{DType::kF16, HalfKv::Store, AttentionPart<HalfKv>},
           {DType::kQ8_0, ByteKv::Store, AttentionPart<ByteKv>}},
    .attention_merge = AttentionMerge,
    .attention_finish = AttentionFinish,

    .dot_round_ops = 2 * kActivationBlock,
    .dot_rounds = DotRounds,
    .sum_stream = SumStream,
};

}  // namespace nearfar
