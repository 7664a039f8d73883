// Attention: which query rows share a read of which part of the KV cache.
//
// Items that follow each other and look at the same cache (the tokens of a prefill) form a block;
// a block and a KV head share each read of keys and values among all their query rows. Where that
// gives too few jobs for the threads (decoding at depth), the parts of the positions are jobs too.
// Parts are folded in order in either case, so both ways give the same bits.
// Held by tests/local_engine/ops/attention_test.cc.

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <vector>

#include "local_engine/ops/ops.h"
#include "local_engine/ops/parallel.h"
#include "local_engine/ops/worker_scratch.h"

namespace nearfar {
namespace {

constexpr int64_t kBlockRows = 128;  // query rows of a block, about: items times heads of a group

// Items [first, first + count) of one cache.
struct ItemBlock {
  int64_t first;
  int64_t count;
  int64_t length;  // the largest of the items
};

int64_t Parts(int64_t length) { return (length + kAttentionPart - 1) / kAttentionPart; }

std::vector<ItemBlock> MakeBlocks(absl::Span<const AttentionItem> items, int64_t most_items) {
  std::vector<ItemBlock> blocks;
  for (int64_t i = 0; i < static_cast<int64_t>(items.size()); ++i) {
    assert(items[i].length >= 1);
    const bool joins = !blocks.empty() && blocks.back().count < most_items &&
                       items[i].keys == items[i - 1].keys && items[i].values == items[i - 1].values;
    if (!joins) blocks.push_back({i, 0, 0});
    ++blocks.back().count;
    blocks.back().length = std::max(blocks.back().length, items[i].length);
  }
  return blocks;
}

// One call's shape and memory sizes, and the steps of a job.
class AttentionJob {
 public:
  AttentionJob(const KernelTable& kernels, const AttentionShape& shape,
               absl::Span<const AttentionItem> items)
      : kernels_(kernels),
        shape_(shape),
        items_(items),
        group_(shape.heads / shape.kv_heads),
        state_floats_(kernels.attention_state_floats(shape.head_width)) {}

  int64_t rows(const ItemBlock& block) const { return block.count * group_; }
  int64_t state_floats() const { return state_floats_; }

  // Fills states [rows, state_floats] for one part.
  void RunPart(const ItemBlock& block, int64_t kv_head, int64_t part, float* states) const {
    const int64_t begin = part * kAttentionPart;
    const int64_t count = rows(block);
    std::vector<const float*> queries(count);
    std::vector<int32_t> visible(count);
    std::vector<float*> places(count);
    for (int64_t row = 0; row < count; ++row) {
      const AttentionItem& item = items_[block.first + row / group_];
      queries[row] = item.query + Head(kv_head, row) * shape_.head_width;
      visible[row] =
          static_cast<int32_t>(std::clamp<int64_t>(item.length - begin, 0, kAttentionPart));
      places[row] = states + row * state_floats_;
    }
    const int64_t offset = begin * shape_.stride + kv_head * shape_.head_width;
    const AttentionItem& any = items_[block.first];
    kernels_.attention_part(
        {.queries = queries.data(),
         .visible = visible.data(),
         .rows = static_cast<int>(count),
         .keys = any.keys + offset,
         .values = any.values + offset,
         .stride = shape_.stride,
         .positions = static_cast<int>(std::min<int64_t>(block.length - begin, kAttentionPart)),
         .head_width = shape_.head_width,
         .scale = shape_.scale,
         .states = places.data(),
         .scratch = WorkerScratch(kernels_.attention_scratch_bytes(shape_.head_width))});
  }

  void Fold(const ItemBlock& block, float* into, const float* part) const {
    for (int64_t row = 0; row < rows(block); ++row) {
      kernels_.attention_merge(into + row * state_floats_, part + row * state_floats_,
                               shape_.head_width);
    }
  }

  void Finish(const ItemBlock& block, int64_t kv_head, const float* states) const {
    for (int64_t row = 0; row < rows(block); ++row) {
      float* out = items_[block.first + row / group_].out + Head(kv_head, row) * shape_.head_width;
      kernels_.attention_finish(states + row * state_floats_, shape_.head_width, out);
    }
  }

 private:
  int64_t Head(int64_t kv_head, int64_t row) const { return kv_head * group_ + row % group_; }

  const KernelTable& kernels_;
  const AttentionShape& shape_;
  const absl::Span<const AttentionItem> items_;
  const int64_t group_;
  const int64_t state_floats_;
};

// A job is a block and a KV head. The last blocks of a prefill see the most, so they start first.
void RunWholeRows(const OpContext& context, const AttentionShape& shape, const AttentionJob& job,
                  const std::vector<ItemBlock>& blocks) {
  const int64_t count = static_cast<int64_t>(blocks.size());
  RunChunks(context.pool, count * shape.kv_heads, [&](int64_t chunk) {
    const ItemBlock& block = blocks[count - 1 - chunk / shape.kv_heads];
    const int64_t kv_head = chunk % shape.kv_heads;
    const int64_t floats = job.rows(block) * job.state_floats();
    std::vector<float> states(2 * floats);
    job.RunPart(block, kv_head, 0, states.data());
    for (int64_t part = 1; part < Parts(block.length); ++part) {
      job.RunPart(block, kv_head, part, states.data() + floats);
      job.Fold(block, states.data(), states.data() + floats);
    }
    job.Finish(block, kv_head, states.data());
  });
}

// A job is a block, a KV head and a part; then the parts of each block and head are folded.
void RunSplitRows(const OpContext& context, const AttentionShape& shape, const AttentionJob& job,
                  const std::vector<ItemBlock>& blocks) {
  struct Piece {
    int64_t block;
    int64_t kv_head;
    int64_t part;
    int64_t states;  // place in the floats
  };
  std::vector<Piece> pieces;
  int64_t floats = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(blocks.size()); ++i) {
    for (int64_t kv_head = 0; kv_head < shape.kv_heads; ++kv_head) {
      for (int64_t part = 0; part < Parts(blocks[i].length); ++part) {
        pieces.push_back({i, kv_head, part, floats});
        floats += job.rows(blocks[i]) * job.state_floats();
      }
    }
  }
  std::vector<float> states(floats);
  RunChunks(context.pool, static_cast<int64_t>(pieces.size()), [&](int64_t chunk) {
    const Piece& piece = pieces[chunk];
    job.RunPart(blocks[piece.block], piece.kv_head, piece.part, states.data() + piece.states);
  });
  float* into = nullptr;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    float* mine = states.data() + piece.states;
    if (piece.part == 0) into = mine;
    if (piece.part != 0) job.Fold(blocks[piece.block], into, mine);
    const bool last = i + 1 == pieces.size() || pieces[i + 1].part == 0;
    if (last) job.Finish(blocks[piece.block], piece.kv_head, into);
  }
}

}  // namespace

void Attention(const OpContext& context, const AttentionShape& shape,
               absl::Span<const AttentionItem> items) {
  if (items.empty()) return;
  const int64_t group = shape.heads / shape.kv_heads;
  const std::vector<ItemBlock> blocks = MakeBlocks(items, std::max<int64_t>(kBlockRows / group, 1));
  const AttentionJob job(*context.kernels, shape, items);
  const int64_t jobs = static_cast<int64_t>(blocks.size()) * shape.kv_heads;
  int64_t longest = 0;
  for (const ItemBlock& block : blocks) longest = std::max(longest, block.length);
  const bool few = context.pool->size() > 1 && jobs < 4 * context.pool->size();
  if (few && Parts(longest) > 1) {
    RunSplitRows(context, shape, job, blocks);
  } else {
    RunWholeRows(context, shape, job, blocks);
  }
}

}  // namespace nearfar
