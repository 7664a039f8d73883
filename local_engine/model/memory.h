// How much memory an engine may come to hold beside its mapped file, told before it holds any of
// it: a file of a few kilobytes can ask for heads and layers that no machine has room for. Held by
// tests/local_engine/model/memory_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_MEMORY_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_MEMORY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "local_engine/kernels/kernel_table.h"
#include "local_engine/model/config.h"

namespace nearfar {

// Rows that an evaluation (Engine::Logits) computes at a time, each with its logits. A transformer
// has room for them, however few rows and logits its sessions need.
inline constexpr int kEvaluationRows = 16;

struct MemoryNeed {
  int context = 0;   // positions of a session
  int sessions = 0;  // full ones, at once
  int rows = 0;      // of one pass
  int threads = 0;   // each works in memory of its own
  DType kv_type = DType::kF16;
  int64_t weights = 0;  // bytes of the packed weights, held beside all that
  const KernelTable* kernels = nullptr;
};

// Bytes, as floating point: products of what a lying file says do not fit in 64 bits.

// Keys and values of one position of a sequence.
double KvPositionBytes(const ModelConfig& config, DType kv_type);
// Of a sequence that fills its context.
double KvCacheBytes(const ModelConfig& config, DType kv_type, int context);
// What the Transformer of this need holds; not less than it is.
double ActivationBytes(const ModelConfig& config, int vocabulary, const MemoryNeed& need);

// Whether the packed weights leave room for anything else. Errors: ResourceExhausted (says how
// large they are, how much there is, and what to do).
absl::Status CheckWeightsFit(int64_t bytes);

// The longest context with which `need` stays within `limit`: need.context, or less where that is
// too much, but never less than `least`. `limit` in bytes, the weights not counted; 0 = what they
// leave of 80 % of the memory that this process may use, no limit where that is not known. The
// cache of an evaluation (Engine::Logits) is not counted: it fails by itself. 1 <= least <=
// need.context. Errors: ResourceExhausted (says what is needed, what there is and what to lower).
absl::StatusOr<int> FitContext(const ModelConfig& config, int vocabulary, const MemoryNeed& need,
                               int least, int64_t limit);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_MEMORY_H_
