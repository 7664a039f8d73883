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

#include "absl/functional/function_ref.h"
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

// Quantizes x [tokens, width] once for all the products that consume it.
void Quantize(const OpContext& context, const float* x, int64_t tokens, int64_t width,
              Activations* out);

// x[t] += delta[t] unless delta is nullptr, then out[t] = x[t] / sqrt(mean(x[t]^2) + epsilon) *
// weight, quantized. x, delta: [tokens, width].
void AddRmsNormQuantize(const OpContext& context, const float* delta, const float* weight,
                        float epsilon, int64_t tokens, int64_t width, float* x, Activations* out);

// One product: out [tokens, weights.rows] = x [tokens, weights.cols] * weights^T (+ bias).
struct Product {
  const Matrix* weights;
  const float* bias;  // [weights.rows] or nullptr
  float* out;
  int64_t out_stride;  // floats between the rows of out
};
// All products that share one input, in one parallel region (q, k and v; gate and up).
void MatMul(const OpContext& context, const Activations& x, absl::Span<const Product> products);

// The same for one product, whose rows are cut in whole blocks of `block`, a multiple of
// kStripRows: then(begin, end) is called on each worker for the rows of weights that it has just
// multiplied with, while their part of `out` is in its cache.
void MatMulInBlocks(const OpContext& context, const Activations& x, const Product& product,
                    int64_t block, absl::FunctionRef<void(int64_t begin, int64_t end)> then);

// Fills the rows of positions [begin, end) of a table of cos and sin: [positions, rope_width] (cos
// at even, sin at odd places). `factors` [rope_width/2] divides the frequencies, or nullptr.
void BuildRopeTable(float base, const float* factors, int64_t rope_width, int64_t begin,
                    int64_t end, float* table);

// out[i] = silu(gate[i]) * up[i], then quantized: gate, up [tokens, width].
void SiluMulQuantize(const OpContext& context, const float* gate, const float* up, int64_t tokens,
                     int64_t width, Activations* out);

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

// Pairs of each head are rotated by the token's position. `interleaved`: pairs are (2i, 2i+1)
// ("llama" files), otherwise (i, i + width/2) ("qwen2").
struct Rotation {
  const float* table;  // of BuildRopeTable, up to the last position
  int64_t width;       // rotated part of a head
  bool interleaved;
};
// One token on its way into the KV cache of its sequence.
struct StoreItem {
  float* query;        // [heads, head_width], rotated in place
  float* key;          // [kv_heads, head_width], rotated in place
  const float* value;  // [kv_heads, head_width]
  int64_t position;
  KvView kv;
};
// Rotates queries and keys, and writes keys and values to their places in the caches.
void RopeAndStore(const OpContext& context, const AttentionShape& shape, const Rotation& rotation,
                  absl::Span<const StoreItem> items);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_OPS_OPS_H_
