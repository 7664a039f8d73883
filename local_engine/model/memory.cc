#include "local_engine/model/memory.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace nearfar {
namespace {

constexpr double kShareOfMachine = 0.8;
constexpr int kEvaluationRows = 16;  // at most so many rows of logits, where no session wants them

// 0 if it is not known.
double MachineBytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && page_bytes > 0 ? static_cast<double>(pages) * page_bytes : 0;
}

int64_t Mebibytes(double bytes) { return std::llround(std::ceil(bytes / (1 << 20))); }

}  // namespace

double KvCacheBytes(const ModelConfig& config, int context) {
  constexpr double kKeysAndValues = 2;
  return kKeysAndValues * sizeof(uint16_t) * config.layers * config.kv_width() * context;
}

// x and the sub-layer's result, q and what was attended, k and v, gate and up, and the quantized
// input of a product, which takes no more than twice its floats.
double ActivationBytes(const ModelConfig& config, int vocabulary, const MemoryNeed& need) {
  const double widest = std::max({config.width, config.query_width(), config.ffn_width});
  const double row = 2.0 * config.width + 2.0 * config.query_width() + 2.0 * config.kv_width() +
                     2.0 * config.ffn_width + 2.0 * widest;
  const double rows = std::max(need.rows, kEvaluationRows);
  const double logits = static_cast<double>(vocabulary) * std::max(need.sessions, kEvaluationRows);
  const double rotations = static_cast<double>(need.context) * config.rope_width;
  return sizeof(float) * (rows * row + logits + rotations);
}

absl::Status CheckMemory(const ModelConfig& config, int vocabulary, const MemoryNeed& need,
                         int64_t limit) {
  const double allowed = limit > 0 ? static_cast<double>(limit) : kShareOfMachine * MachineBytes();
  // One cache more: an evaluation (Engine::Logits) has its own.
  const double caches = (need.sessions + 1) * KvCacheBytes(config, need.context);
  const double needed = ActivationBytes(config, vocabulary, need) + caches;
  if (allowed == 0 || needed <= allowed) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(need.sessions, " sessions of ", need.context, " tokens may come to hold ",
                   Mebibytes(needed), " MiB, and ", Mebibytes(allowed), " MiB are allowed (",
                   limit > 0 ? "max_memory_bytes" : "80 % of this machine's memory",
                   "); lower context_tokens or max_sessions"));
}

}  // namespace nearfar
