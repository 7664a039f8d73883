// What a forward pass is made of: kernels + threads + shapes.
//
// Every function computes on the pool of its OpContext and returns when the result is whole. Shapes
// are row-major; `tokens` rows of activations go through one pass over the weights, so prefill,
// batches of sessions and single-token decode share one path. Asserts (debug builds) catch wrong
// shapes: a caller has checked them against the file before.
// Held by tests/local_engine/ops/.

#ifndef NEARFAR_LOCAL_ENGINE_OPS_OPS_H_
#define NEARFAR_LOCAL_ENGINE_OPS_OPS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "local_engine/base/thread_pool.h"
#include "local_engine/kernels/kernel_table.h"
#include "local_engine/ops/activations.h"
#include "local_engine/ops/tensor.h"

namespace nearfar {

class Workspace;

struct OpContext {
  const KernelTable* kernels;
  ThreadPool* pool;
  Workspace* workspace;  // made for the pool and for the largest shapes (workspace.h)
};

// Rows of `ids` of the embedding matrix [vocabulary, width] as f32: out [ids.size(), width].
void Embed(const OpContext& context, const Matrix& table, absl::Span<const int32_t> ids,
           float* out);

// out[t] = x[t] / sqrt(mean(x[t]^2) + epsilon) * weight. x, out: [tokens, width] (may alias).
void RmsNorm(const OpContext& context, const float* x, const float* weight, float epsilon,
             int64_t tokens, int64_t width, float* out);

// Quantizes x [tokens, width] once for all the products that consume it.
void Quantize(const OpContext& context, const float* x, int64_t tokens, int64_t width,
              Activations* out);

// RmsNorm followed by Quantize in one region.
void RmsNormQuantize(const OpContext& context, const float* x, const float* weight, float epsilon,
                     int64_t tokens, int64_t width, Activations* out);

// One product: out [tokens, weights.rows] = x [tokens, weights.cols] * weights^T (+ bias).
struct Product {
  const Matrix* weights;
  const float* bias;  // [weights.rows] or nullptr
  float* out;
  int64_t out_stride;  // floats between the rows of out
};
// All products that share one input, in one parallel region (q, k and v; gate and up).
void MatMul(const OpContext& context, const Activations& x, absl::Span<const Product> products);

// Rotates pairs of each head by position. `interleaved`: pairs are (2i, 2i+1) ("llama" files),
// otherwise (i, i + rope_width/2) ("qwen2"). x: [tokens, heads, head_width].
struct RopeShape {
  int64_t heads;
  int64_t head_width;
  int64_t rope_width;  // rotated part of a head
  bool interleaved;
};
// Fills the rows of positions [begin, end) of a table of cos and sin: [positions, rope_width] (cos
// at even, sin at odd places). `factors` [rope_width/2] divides the frequencies, or nullptr.
void BuildRopeTable(float base, const float* factors, int64_t rope_width, int64_t begin,
                    int64_t end, float* table);
void Rope(const OpContext& context, const RopeShape& shape, const float* table,
          absl::Span<const int32_t> positions, float* x, int64_t stride);

// out[i] = silu(gate[i]) * up[i], then quantized: gate, up [tokens, width].
void SiluMulQuantize(const OpContext& context, const float* gate, const float* up, int64_t tokens,
                     int64_t width, Activations* out);

// x[i] += y[i].
void AddInPlace(const OpContext& context, float* x, const float* y, int64_t n);

// Where the keys and values of one sequence are: of each part of its positions and each KV head
// KvPartBytes in one piece (kernels/kernel_table.h), the heads of a part side by side.
struct KvView {
  uint8_t* const* parts;  // [positions / kAttentionPart, rounded up]
  int64_t offset;         // bytes from there to the first head
};

// One query row against the keys and values of its own sequence.
struct AttentionItem {
  const float* query;  // [heads, head_width]
  KvView kv;
  int64_t length;  // positions visible to this query, >= 1
  float* out;      // [heads, head_width]
};
struct AttentionShape {
  int64_t heads;
  int64_t kv_heads;  // divides heads; a group of heads / kv_heads query heads shares one read
  int64_t head_width;
  float scale;
  DType kv_type = DType::kF16;  // or kQ8_0

  uint8_t* Part(const KvView& kv, int64_t part, int64_t kv_head) const {
    return kv.parts[part] + kv.offset + kv_head * KvPartBytes(kv_type, head_width);
  }
};
void Attention(const OpContext& context, const AttentionShape& shape,
               absl::Span<const AttentionItem> items);

// Writes positions [first, first + count) of a KV cache. key, value: [count, kv_heads, head_width].
void StoreKeysAndValues(const OpContext& context, const AttentionShape& shape, int64_t first,
                        int64_t count, const float* key, const float* value, const KvView& kv);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_OPS_OPS_H_
