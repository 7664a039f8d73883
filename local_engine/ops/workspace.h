// The working memory of the ops, sized beforehand: a computation allocates nothing, so it cannot
// run out of memory on a thread that could tell nobody. Held by
// tests/local_engine/ops/workspace_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_OPS_WORKSPACE_H_
#define NEARFAR_LOCAL_ENGINE_OPS_WORKSPACE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "local_engine/base/aligned_buffer.h"
#include "local_engine/kernels/kernel_table.h"
#include "local_engine/ops/ops.h"

namespace nearfar {

// The largest that the ops will be asked for.
struct WorkspaceShape {
  int64_t width = 0;         // of a row that is quantized or multiplied
  int64_t items = 0;         // of one call of Attention
  AttentionShape attention;  // `scale` and `kv_type` do not matter
};

// Movable. One caller of an op at a time; each worker of its pool has a part of its own.
class Workspace {
 public:
  // For a pool of `workers` threads. Errors: ResourceExhausted.
  static absl::StatusOr<Workspace> Create(const KernelTable& kernels, int workers,
                                          const WorkspaceShape& shape);
  // Bytes that Create allocates for it.
  static int64_t BytesOf(const KernelTable& kernels, int workers, const WorkspaceShape& shape);

  int64_t bytes() const { return static_cast<int64_t>(workers_.size() + shared_.size()); }

  // At least `bytes` bytes aligned to 64, whose content lives until the worker's next call.
  uint8_t* OfWorker(int worker, int64_t bytes);

  // The same for what all workers of one op share.
  uint8_t* Shared(int64_t bytes);

 private:
  int64_t worker_bytes_ = 0;
  AlignedBuffer workers_;  // [workers, worker_bytes]
  AlignedBuffer shared_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_OPS_WORKSPACE_H_
