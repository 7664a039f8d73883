// The forward pass of a decoder-only transformer (Vaswani et al., "Attention is all you need",
// 2017; pre-norm with RMSNorm, rotary positions, grouped-query attention and a gated SiLU
// feed-forward layer, as in Touvron et al., "LLaMA", 2023).
//
// One pass takes rows of several sequences at once: chunks of prompts beside single tokens. Between
// two layers the observer may drop sequences; their rows are taken out before the next layer.
// Held by tests/local_engine/model/transformer_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_TRANSFORMER_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_TRANSFORMER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "local_engine/base/aligned_buffer.h"
#include "local_engine/model/config.h"
#include "local_engine/model/kv_cache.h"
#include "local_engine/model/weights.h"
#include "local_engine/ops/ops.h"
#include "local_engine/ops/workspace.h"
#include "local_engine/sampling/token_stats.h"

namespace nearfar {

// One sequence's part of a pass.
struct PassSlice {
  KvCache* cache = nullptr;               // room for `tokens` behind its length() is reserved
  absl::Span<const int32_t> tokens = {};  // at least one; ids inside the vocabulary
  int wanted_logits = 0;                  // of the last so many tokens; <= tokens.size()
  bool dropped = false;                   // set by the observer: compute no more of it
  bool wants_stats = false;               // of these logits
  absl::Span<const float> logits = {};  // result: [wanted_logits, vocabulary], until the next pass
  absl::Span<const LogitStats> stats = {};  // result, if wanted: [wanted_logits], as long
};

// Sees a pass from inside, on its thread.
class PassObserver {
 public:
  virtual ~PassObserver() = default;
  // The layer is about to be computed. May set `dropped` of any slice; a dropped slice's cache is
  // not touched any more.
  virtual void BeforeLayer(int layer, absl::Span<PassSlice> slices) {}
  virtual void AfterLayer(int layer) {}
  // All layers are computed, the product with the vocabulary is next. May set `dropped` too.
  virtual void BeforeLogits(absl::Span<PassSlice> slices) {}
};

// One caller at a time.
class Transformer {
 public:
  // What is borrowed must outlive the transformer. kv_type: of the caches. max_rows and max_logits
  // <= max_rows bound one pass; positions are in [0, context). All that a pass needs is allocated
  // here. Errors: Unimplemented (the kernels lack a tensor type of the weights), ResourceExhausted
  // (no memory for the activations).
  static absl::StatusOr<std::unique_ptr<Transformer>> Create(
      const ModelConfig& config, const ModelWeights& weights, const KernelTable& kernels,
      DType kv_type, ThreadPool* pool, int context, int max_rows, int max_logits);

  // Computes one pass and advances the caches of the slices that were not dropped. Stops between
  // two layers when all are. Logits may be NaN or infinite if the weights are broken.
  void Forward(absl::Span<PassSlice> slices, PassObserver& observer);

  int64_t bytes() const;  // held memory; no pass changes it

 private:
  struct Row {
    int slice;
    int32_t token;
    bool wants_logits;
  };

  Transformer(const ModelConfig& config, const ModelWeights& weights, const KernelTable& kernels,
              DType kv_type, ThreadPool* pool)
      : config_(config), weights_(weights), kv_type_(kv_type), ops_{&kernels, pool, &workspace_} {}

  absl::StatusOr<ActivationForms> ChooseForms() const;
  AttentionShape attention_shape() const;
  absl::Status Allocate(ActivationForms forms, int context, int max_rows, int max_logits);
  absl::Status AllocateInput(ActivationForms forms, int max_rows);
  void ExtendRopeTable();
  void GatherRows(absl::Span<const PassSlice> slices);
  void EmbedRows();
  void ComputeLayer(int layer, absl::Span<PassSlice> slices);
  void ProjectQueryKeyValue(int index);
  void RopeAndStoreRows(int layer, absl::Span<PassSlice> slices);
  void Attend(int layer, absl::Span<PassSlice> slices);
  void FeedForward(const LayerWeights& layer);
  void DropRows(absl::Span<const PassSlice> slices);
  void ComputeLogits(absl::Span<PassSlice> slices);
  void MeasureLogits(int64_t row, int64_t begin, int64_t end);
  void FoldStats(int64_t first, int64_t count);
  template <typename Keep>
  void KeepRows(Keep keep);

  const ModelConfig& config_;
  const ModelWeights& weights_;
  const DType kv_type_;
  Workspace workspace_;
  const OpContext ops_;

  // The rows of the running pass, those of one slice side by side and in order of position.
  std::vector<Row> rows_;
  std::vector<int32_t> positions_;
  std::vector<int32_t> ids_;
  std::vector<StoreItem> store_items_;
  std::vector<AttentionItem> items_;

  AlignedBuffer rope_table_;  // [context, rope_width], of which rope_positions_ are filled
  int rope_positions_ = 0;
  AlignedBuffer residual_;  // x: [rows, width]
  AlignedBuffer query_;     // [rows, query_width]
  AlignedBuffer key_;       // [rows, kv_width]
  AlignedBuffer value_;     // [rows, kv_width]
  AlignedBuffer attended_;  // [rows, query_width]
  AlignedBuffer gate_;      // [rows, ffn_width]
  AlignedBuffer up_;        // [rows, ffn_width]
  AlignedBuffer delta_;     // what a sub-layer adds to x, where the next one begins: [rows, width]
  AlignedBuffer logits_;    // [wanted, vocabulary]
  AlignedBuffer logit_blocks_;  // [wanted, LogitBlocks(vocabulary)]
  AlignedBuffer stats_;         // [wanted]
  Activations input_;           // quantized input of the next products
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_TRANSFORMER_H_
