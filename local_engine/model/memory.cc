#include "local_engine/model/memory.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "local_engine/base/usable_memory.h"
#include "local_engine/ops/activations.h"
#include "local_engine/ops/workspace.h"
#include "local_engine/sampling/token_stats.h"

namespace nearfar {
namespace {

constexpr double kUsableShare = 0.8;
// Of each row, what the lists of a pass say of it: its token, place, way into the cache and part in
// the attention.
constexpr double kRowListBytes = 112;

int64_t Mebibytes(double bytes) { return std::llround(std::ceil(bytes / (1 << 20))); }

double NeededBytes(const ModelConfig& config, int vocabulary, const MemoryNeed& need) {
  return ActivationBytes(config, vocabulary, need) +
         need.sessions * KvCacheBytes(config, need.kv_type, need.context);
}

absl::Status TooMuch(double needed, double allowed, const MemoryNeed& need, int64_t limit) {
  return absl::ResourceExhaustedError(
      absl::StrCat(need.sessions, need.sessions == 1 ? " session of " : " sessions of ",
                   need.context, " tokens may come to hold ", Mebibytes(needed), " MiB, and ",
                   Mebibytes(allowed), " MiB are allowed (",
                   limit > 0 ? "EngineOptions::max_memory_bytes"
                             : "what the weights leave of 80 % of the memory that this process may "
                               "use",
                   "); lower EngineOptions::context_tokens",
                   need.sessions == 1 ? "" : " or EngineOptions::max_sessions"));
}

}  // namespace

double KvPositionBytes(const ModelConfig& config, DType kv_type) {
  const double heads = static_cast<double>(config.layers) * config.kv_heads;
  return heads * static_cast<double>(KvPartBytes(kv_type, config.head_width)) / kAttentionPart;
}

double KvCacheBytes(const ModelConfig& config, DType kv_type, int context) {
  const int64_t parts = (int64_t{context} + kAttentionPart - 1) / kAttentionPart;
  return KvPositionBytes(config, kv_type) * kAttentionPart * static_cast<double>(parts);
}

// As Transformer::Allocate has it: x and the sub-layer's result, q and what was attended, k and v,
// gate and up, the logits and their statistics, the input of a product in both forms, and what the
// ops work in.
double ActivationBytes(const ModelConfig& config, int vocabulary, const MemoryNeed& need) {
  const int64_t widest = std::max({config.width, config.query_width(), config.ffn_width});
  const int rows = std::max(need.rows, kEvaluationRows);
  const double row = 2.0 * config.width + 2.0 * config.query_width() + 2.0 * config.kv_width() +
                     2.0 * config.ffn_width;
  const double logit_row = sizeof(float) * static_cast<double>(vocabulary) +
                           sizeof(LogitBlock) * static_cast<double>(LogitBlocks(vocabulary)) +
                           sizeof(LogitStats);
  const double logits = logit_row * std::max(need.sessions, kEvaluationRows);
  const double rotations = static_cast<double>(need.context) * config.rope_width;
  const AttentionShape attention = {.heads = config.heads,
                                    .kv_heads = config.kv_heads,
                                    .head_width = config.head_width,
                                    .scale = 1};
  const int64_t input = Activations::BytesOf({}, rows, widest);
  const int64_t workspace = Workspace::BytesOf(
      *need.kernels, need.threads, {.width = widest, .items = rows, .attention = attention});
  return sizeof(float) * (rows * row + rotations) + logits + rows * kRowListBytes +
         static_cast<double>(input) + static_cast<double>(workspace);
}

absl::Status CheckWeightsFit(int64_t bytes) {
  const double usable = kUsableShare * static_cast<double>(UsableMemory());
  if (usable == 0 || static_cast<double>(bytes) <= usable) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the weights take ", Mebibytes(static_cast<double>(bytes)), " MiB, and ",
                   Mebibytes(usable), " MiB are allowed (80 % of the memory that this process may ",
                   "use); take a smaller model, or a file with fewer bits a weight"));
}

absl::StatusOr<int> FitContext(const ModelConfig& config, int vocabulary, const MemoryNeed& need,
                               int least, int64_t limit) {
  const double usable = kUsableShare * static_cast<double>(UsableMemory());
  const double beside = std::max(usable - static_cast<double>(need.weights), 0.0);
  const double allowed = limit > 0 ? static_cast<double>(limit) : beside;
  const auto needed = [&](int context) {
    MemoryNeed other = need;
    other.context = context;
    return NeededBytes(config, vocabulary, other);
  };
  if (limit == 0 && usable == 0) return need.context;
  if (needed(need.context) <= allowed) return need.context;
  if (needed(least) > allowed) {
    MemoryNeed shortest = need;
    shortest.context = least;
    return TooMuch(needed(least), allowed, shortest, limit);
  }
  int fits = least, too_long = need.context;
  while (too_long - fits > 1) {
    const int middle = fits + (too_long - fits) / 2;
    (needed(middle) <= allowed ? fits : too_long) = middle;
  }
  return fits;
}

}  // namespace nearfar
