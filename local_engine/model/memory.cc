#include "local_engine/model/memory.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "local_engine/base/usable_memory.h"
#include "local_engine/ops/activations.h"
#include "local_engine/ops/workspace.h"

namespace nearfar {
namespace {

constexpr double kUsableShare = 0.8;
// Of each row, what the lists of a pass say of it: its token, place and part in the attention.
constexpr double kRowListBytes = 64;

int64_t Mebibytes(double bytes) { return std::llround(std::ceil(bytes / (1 << 20))); }

double NeededBytes(const ModelConfig& config, int vocabulary, const MemoryNeed& need) {
  return ActivationBytes(config, vocabulary, need) +
         need.sessions * KvCacheBytes(config, need.context);
}

absl::Status TooMuch(double needed, double allowed, const MemoryNeed& need, int64_t limit) {
  return absl::ResourceExhaustedError(
      absl::StrCat(need.sessions, need.sessions == 1 ? " session of " : " sessions of ",
                   need.context, " tokens may come to hold ", Mebibytes(needed), " MiB, and ",
                   Mebibytes(allowed), " MiB are allowed (",
                   limit > 0 ? "EngineOptions::max_memory_bytes"
                             : "80 % of the memory that this process may use",
                   "); lower EngineOptions::context_tokens",
                   need.sessions == 1 ? "" : " or EngineOptions::max_sessions"));
}

}  // namespace

double KvCacheBytes(const ModelConfig& config, int context) {
  constexpr double kKeysAndValues = 2;
  return kKeysAndValues * sizeof(uint16_t) * config.layers * config.kv_width() * context;
}

// As Transformer::Allocate has it: x and the sub-layer's result, q and what was attended, k and v,
// gate and up, the input of a product in both forms, and what the ops work in.
double ActivationBytes(const ModelConfig& config, int vocabulary, const MemoryNeed& need) {
  const int64_t widest = std::max({config.width, config.query_width(), config.ffn_width});
  const int rows = std::max(need.rows, kEvaluationRows);
  const double row = 2.0 * config.width + 2.0 * config.query_width() + 2.0 * config.kv_width() +
                     2.0 * config.ffn_width;
  const double logits = static_cast<double>(vocabulary) * std::max(need.sessions, kEvaluationRows);
  const double rotations = static_cast<double>(need.context) * config.rope_width;
  const AttentionShape attention = {.heads = config.heads,
                                    .kv_heads = config.kv_heads,
                                    .head_width = config.head_width,
                                    .stride = config.kv_width(),
                                    .scale = 1};
  const int64_t input = Activations::BytesOf({}, rows, widest);
  const int64_t workspace = Workspace::BytesOf(
      *need.kernels, need.threads, {.width = widest, .items = rows, .attention = attention});
  return sizeof(float) * (rows * row + logits + rotations) + rows * kRowListBytes +
         static_cast<double>(input) + static_cast<double>(workspace);
}

// What is needed grows by the same number of bytes with each position.
absl::StatusOr<int> FitContext(const ModelConfig& config, int vocabulary, const MemoryNeed& need,
                               int least, int64_t limit) {
  const double allowed =
      limit > 0 ? static_cast<double>(limit) : kUsableShare * static_cast<double>(UsableMemory());
  const double needed = NeededBytes(config, vocabulary, need);
  if (allowed == 0 || needed <= allowed) return need.context;
  MemoryNeed other = need;
  other.context = 0;
  const double fixed = NeededBytes(config, vocabulary, other);
  const double fits = std::floor((allowed - fixed) / ((needed - fixed) / need.context));
  if (fits >= least) return static_cast<int>(fits);
  other.context = least;
  return TooMuch(NeededBytes(config, vocabulary, other), allowed, other, limit);
}

}  // namespace nearfar
