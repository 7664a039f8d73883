// Attention: which query rows share a read of which part of the KV cache.
//
// Items that follow each other and look at the same cache (the tokens of a prefill) form a block;
// a block and a KV head share each read of keys and values among all their query rows. Where these
// are too few jobs for the threads (decoding at depth, or a short message behind a long prefix that
// is cached), the parts of the positions are jobs too. Parts are folded in order in either case, so
// both ways give the same bits.
// Held by tests/local_engine/ops/attention_test.cc.

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <cstring>

#include "local_engine/ops/attention_memory.h"
#include "local_engine/ops/ops.h"
#include "local_engine/ops/workspace.h"

namespace nearfar {
namespace {

// Fewer jobs than this for each thread, and a slow one holds the others.
constexpr int64_t kJobsPerThread = 4;

int64_t Parts(int64_t length) { return (length + kAttentionPart - 1) / kAttentionPart; }

// Items of a block: as many as share a read well, fewer where threads would be left without a job.
int64_t ItemsOfBlock(const OpContext& context, const AttentionShape& shape, int64_t items) {
  const int64_t group = shape.heads / shape.kv_heads;
  const int64_t most = std::max<int64_t>(kAttentionBlockRows / group, 1);
  if (context.pool->size() == 1) return most;
  const int64_t fair = items * shape.kv_heads / (kJobsPerThread * context.pool->size());
  return std::clamp(fair, std::max<int64_t>(kAttentionLeastBlockRows / group, 1), most);
}

bool SameCache(const KvView& a, const KvView& b) {
  return a.parts == b.parts && a.offset == b.offset;
}

// Fills `blocks`; returns how many there are.
int64_t MakeBlocks(absl::Span<const AttentionItem> items, int64_t most_items,
                   AttentionBlock* blocks) {
  int64_t count = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(items.size()); ++i) {
    assert(items[i].length >= 1);
    const bool joins = count > 0 && blocks[count - 1].count < most_items &&
                       SameCache(items[i].kv, items[i - 1].kv);
    if (!joins) blocks[count++] = {i, 0, 0};
    AttentionBlock& block = blocks[count - 1];
    ++block.count;
    block.length = std::max(block.length, items[i].length);
  }
  return count;
}

// One call's shape and memory, and the steps of a job.
class AttentionJob {
 public:
  AttentionJob(const OpContext& context, const AttentionShape& shape,
               absl::Span<const AttentionItem> items)
      : context_(context),
        kernels_(*context.kernels),
        kv_kernel_(FindKvKernel(kernels_, shape.kv_type)),
        shape_(shape),
        items_(items),
        group_(shape.heads / shape.kv_heads),
        state_floats_(kernels_.attention_state_floats(shape.head_width)) {}

  // Memory of a block's states.
  int64_t floats(const AttentionBlock& block) const { return rows(block) * state_floats_; }

  AttentionWorkerMemory MemoryOf(int worker) const {
    const int64_t bytes = AttentionWorkerMemory(kernels_, shape_, nullptr).bytes;
    return {kernels_, shape_, context_.workspace->OfWorker(worker, bytes)};
  }

  // Fills states [rows, state_floats] for one part.
  void RunPart(const AttentionBlock& block, int64_t kv_head, int64_t part,
               const AttentionWorkerMemory& memory, float* states) const {
    const int64_t count = rows(block), begin = part * kAttentionPart;
    for (int64_t row = 0; row < count; ++row) {
      const AttentionItem& item = items_[block.first + row / group_];
      memory.queries[row] = item.query + Head(kv_head, row) * shape_.head_width;
      memory.visible[row] =
          static_cast<int32_t>(std::clamp<int64_t>(item.length - begin, 0, kAttentionPart));
      memory.states[row] = states + row * state_floats_;
    }
    kv_kernel_.attention_part({.queries = memory.queries,
                               .visible = memory.visible,
                               .rows = static_cast<int>(count),
                               .kv = shape_.Part(items_[block.first].kv, part, kv_head),
                               .head_width = shape_.head_width,
                               .scale = shape_.scale,
                               .states = memory.states,
                               .scratch = memory.scratch});
  }

  void Fold(const AttentionBlock& block, float* into, const float* part) const {
    for (int64_t row = 0; row < rows(block); ++row) {
      kernels_.attention_merge(into + row * state_floats_, part + row * state_floats_,
                               shape_.head_width);
    }
  }

  void Finish(const AttentionBlock& block, int64_t kv_head, const float* states) const {
    for (int64_t row = 0; row < rows(block); ++row) {
      float* out = items_[block.first + row / group_].out + Head(kv_head, row) * shape_.head_width;
      kernels_.attention_finish(states + row * state_floats_, shape_.head_width, out);
    }
  }

 private:
  int64_t rows(const AttentionBlock& block) const { return block.count * group_; }
  int64_t Head(int64_t kv_head, int64_t row) const { return kv_head * group_ + row % group_; }

  const OpContext& context_;
  const KernelTable& kernels_;
  const KvKernel& kv_kernel_;
  const AttentionShape& shape_;
  const absl::Span<const AttentionItem> items_;
  const int64_t group_;
  const int64_t state_floats_;
};

// A job is a block and a KV head. The last blocks of a prefill see the most, so they start first.
void RunWholeRows(const OpContext& context, const AttentionShape& shape, const AttentionJob& job,
                  absl::Span<const AttentionBlock> blocks) {
  const int64_t count = static_cast<int64_t>(blocks.size());
  context.pool->Run(count * shape.kv_heads, [&](int64_t chunk, int worker) {
    const AttentionBlock& block = blocks[count - 1 - chunk / shape.kv_heads];
    const int64_t kv_head = chunk % shape.kv_heads;
    const AttentionWorkerMemory memory = job.MemoryOf(worker);
    job.RunPart(block, kv_head, 0, memory, memory.total);
    for (int64_t part = 1; part < Parts(block.length); ++part) {
      job.RunPart(block, kv_head, part, memory, memory.part);
      job.Fold(block, memory.total, memory.part);
    }
    job.Finish(block, kv_head, memory.total);
  });
}

AttentionPiece Next(AttentionPiece piece, const AttentionShape& shape,
                    absl::Span<const AttentionBlock> blocks) {
  if (++piece.part < Parts(blocks[piece.block].length)) return piece;
  piece.part = 0;
  if (++piece.kv_head < shape.kv_heads) return piece;
  return {piece.block + 1, 0, 0};
}

// A job is a block, a KV head and a part; then the parts of each block and head are folded. In
// rounds, so that any depth fits into the memory that there is.
void RunSplitRows(const OpContext& context, const AttentionShape& shape, const AttentionJob& job,
                  absl::Span<const AttentionBlock> blocks, const AttentionSharedMemory& memory) {
  int64_t items = 1, floats = 0;  // of the largest block
  for (const AttentionBlock& block : blocks) {
    items = std::max(items, block.count);
    floats = std::max(floats, job.floats(block));
  }
  const int64_t most_pieces = memory.most_pieces / items;
  assert(most_pieces > 0);
  AttentionPiece next = {0, 0, 0};
  while (next.block < static_cast<int64_t>(blocks.size())) {
    int64_t count = 0;
    for (; count < most_pieces && next.block < static_cast<int64_t>(blocks.size()); ++count) {
      memory.pieces[count] = next;
      next = Next(next, shape, blocks);
    }
    context.pool->Run(count, [&](int64_t chunk, int worker) {
      const AttentionPiece& piece = memory.pieces[chunk];
      job.RunPart(blocks[piece.block], piece.kv_head, piece.part, job.MemoryOf(worker),
                  memory.states + chunk * floats);
    });
    for (int64_t i = 0; i < count; ++i) {
      const AttentionPiece& piece = memory.pieces[i];
      const AttentionBlock& block = blocks[piece.block];
      const float* mine = memory.states + i * floats;
      if (piece.part == 0) {
        std::memcpy(memory.total, mine, static_cast<size_t>(job.floats(block)) * sizeof(float));
      } else {
        job.Fold(block, memory.total, mine);
      }
      if (piece.part + 1 == Parts(block.length)) job.Finish(block, piece.kv_head, memory.total);
    }
  }
}

}  // namespace

void Attention(const OpContext& context, const AttentionShape& shape,
               absl::Span<const AttentionItem> items) {
  if (items.empty()) return;
  const int threads = context.pool->size();
  const auto shared = [&](uint8_t* memory) {
    return AttentionSharedMemory(*context.kernels, shape, static_cast<int64_t>(items.size()),
                                 threads, memory);
  };
  const AttentionSharedMemory memory = shared(context.workspace->Shared(shared(nullptr).bytes));
  AttentionBlock* const blocks = memory.blocks;
  AttentionBlock* const end =
      blocks + MakeBlocks(items, ItemsOfBlock(context, shape, items.size()), blocks);

  // Folding the parts of larger blocks costs time on one thread: worth it where others have no job.
  // Such blocks are least ones: larger are made only where there are jobs for all.
  const bool some_idle = (end - blocks) * shape.kv_heads < threads;
  const auto is_deep = [&](const AttentionBlock& block) {
    return (block.count == 1 || some_idle) && Parts(block.length) > 1;
  };
  const int64_t deep_jobs = std::count_if(blocks, end, is_deep) * shape.kv_heads;
  const bool split = threads > 1 && deep_jobs < kJobsPerThread * threads;
  AttentionBlock* const whole_end =
      split ? std::partition(blocks, end,
                             [&](const AttentionBlock& block) { return !is_deep(block); })
            : end;
  const AttentionJob job(context, shape, items);
  if (whole_end != blocks) {
    RunWholeRows(context, shape, job, absl::MakeConstSpan(blocks, whole_end));
  }
  if (whole_end != end) {
    RunSplitRows(context, shape, job, absl::MakeConstSpan(whole_end, end), memory);
  }
}

}  // namespace nearfar
