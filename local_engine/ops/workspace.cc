#include "local_engine/ops/workspace.h"

#include <algorithm>
#include <cassert>

#include "local_engine/ops/attention_memory.h"

namespace nearfar {
namespace {

int64_t WorkerBytes(const KernelTable& kernels, const WorkspaceShape& shape) {
  const int64_t row = shape.width * static_cast<int64_t>(sizeof(float));
  const int64_t most = std::max({row, kernels.matmul_scratch_bytes(shape.width),
                                 AttentionWorkerMemory(kernels, shape.attention, nullptr).bytes});
  return WholeLines(most);
}

int64_t SharedBytes(const KernelTable& kernels, int workers, const WorkspaceShape& shape) {
  return AttentionSharedMemory(kernels, shape.attention, shape.items, workers, nullptr).bytes;
}

}  // namespace

int64_t Workspace::BytesOf(const KernelTable& kernels, int workers, const WorkspaceShape& shape) {
  return WorkerBytes(kernels, shape) * workers + SharedBytes(kernels, workers, shape);
}

absl::StatusOr<Workspace> Workspace::Create(const KernelTable& kernels, int workers,
                                            const WorkspaceShape& shape) {
  Workspace workspace;
  workspace.worker_bytes_ = WorkerBytes(kernels, shape);
  absl::Status status = AlignedBuffer::CreateInto(
      static_cast<size_t>(workspace.worker_bytes_ * workers), &workspace.workers_);
  status.Update(AlignedBuffer::CreateInto(static_cast<size_t>(SharedBytes(kernels, workers, shape)),
                                          &workspace.shared_));
  if (!status.ok()) return status;
  return workspace;
}

uint8_t* Workspace::OfWorker(int worker, int64_t bytes) {
  assert(bytes <= worker_bytes_);
  assert((worker + 1) * worker_bytes_ <= static_cast<int64_t>(workers_.size()));
  return workers_.data() + worker * worker_bytes_;
}

uint8_t* Workspace::Shared(int64_t bytes) {
  assert(bytes <= static_cast<int64_t>(shared_.size()));
  return shared_.data();
}

}  // namespace nearfar
