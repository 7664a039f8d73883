// What Attention keeps where in the memory of a Workspace: one description for those who size it
// and for the one that uses it.

#ifndef NEARFAR_LOCAL_ENGINE_OPS_ATTENTION_MEMORY_H_
#define NEARFAR_LOCAL_ENGINE_OPS_ATTENTION_MEMORY_H_

#include <algorithm>
#include <cstdint>

#include "local_engine/base/aligned_buffer.h"
#include "local_engine/kernels/kernel_table.h"
#include "local_engine/ops/ops.h"

namespace nearfar {

// Query rows of a block, about: items times heads of a group.
constexpr int64_t kAttentionBlockRows = 128;
// Of the least block: below, reading keys and values costs more than what is done with them.
constexpr int64_t kAttentionLeastBlockRows = 32;
// Pieces of a decode at depth for each worker that are computed before they are folded (of a larger
// block as many as fit into their memory): enough that the threads seldom wait for each other, few
// enough that their memory does not grow with the depth.
constexpr int64_t kAttentionPiecesPerWorker = 32;

// Items [first, first + count) of one cache.
struct AttentionBlock {
  int64_t first;
  int64_t count;
  int64_t length;  // the largest of the items
};

// One part of the positions, for one block and KV head.
struct AttentionPiece {
  int64_t block;
  int64_t kv_head;
  int64_t part;
};

// `bytes` in whole cache lines.
constexpr int64_t WholeLines(int64_t bytes) {
  constexpr int64_t kLine = AlignedBuffer::kAlignment;
  return (bytes + kLine - 1) / kLine * kLine;
}

// Places of arrays, one after the other.
class MemoryPlan {
 public:
  explicit MemoryPlan(uint8_t* memory) : memory_(memory) {}

  template <typename T>
  T* Take(int64_t count) {
    T* place = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + bytes_);
    bytes_ += WholeLines(count * static_cast<int64_t>(sizeof(T)));
    return place;
  }
  int64_t bytes() const { return bytes_; }

 private:
  uint8_t* memory_;
  int64_t bytes_ = 0;
};

// Of one worker. Without memory (nullptr) only `bytes` is of use.
struct AttentionWorkerMemory {
  AttentionWorkerMemory(const KernelTable& kernels, const AttentionShape& shape, uint8_t* memory) {
    const int64_t rows = std::max(kAttentionBlockRows, shape.heads / shape.kv_heads);
    const int64_t floats = rows * kernels.attention_state_floats(shape.head_width);
    MemoryPlan plan(memory);
    scratch = plan.Take<uint8_t>(kernels.attention_scratch_bytes(shape.head_width, rows));
    total = plan.Take<float>(floats);
    part = plan.Take<float>(floats);
    queries = plan.Take<const float*>(rows);
    states = plan.Take<float*>(rows);
    visible = plan.Take<int32_t>(rows);
    bytes = plan.bytes();
  }

  uint8_t* scratch;  // the kernel's
  float* total;      // [rows, state]
  float* part;       // [rows, state]
  const float** queries;
  float** states;
  int32_t* visible;
  int64_t bytes;
};

// Of one call.
struct AttentionSharedMemory {
  AttentionSharedMemory(const KernelTable& kernels, const AttentionShape& shape, int64_t items,
                        int workers, uint8_t* memory) {
    const int64_t group = shape.heads / shape.kv_heads;
    const int64_t state = kernels.attention_state_floats(shape.head_width);
    most_pieces = kAttentionPiecesPerWorker * workers;
    MemoryPlan plan(memory);
    blocks = plan.Take<AttentionBlock>(items);
    pieces = plan.Take<AttentionPiece>(most_pieces);
    states = plan.Take<float>(most_pieces * group * state);
    total = plan.Take<float>(std::max(kAttentionLeastBlockRows, group) * state);
    bytes = plan.bytes();
  }

  AttentionBlock* blocks;  // [items]
  AttentionPiece* pieces;  // [most_pieces]
  float* states;           // [most_pieces, rows of one item, state]
  float* total;            // [rows of a least block, state]
  int64_t most_pieces;
  int64_t bytes;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_OPS_ATTENTION_MEMORY_H_
