#include "local_engine/ops/workspace.h"

#include <cstdint>
#include <cstring>

#include "gtest/gtest.h"
#include "local_engine/kernels/tables.h"
#include "local_engine/ops/attention_memory.h"

namespace nearfar {
namespace {

constexpr AttentionShape kShape = {.heads = 8, .kv_heads = 2, .head_width = 64, .scale = 0};

// Every byte may be written; a sanitizer watches.
TEST(WorkspaceTest, EachWorkerHasItsOwnAlignedPart) {
  constexpr int64_t kBytes = 100 * sizeof(float);
  Workspace workspace =
      Workspace::Create(kScalarKernels, 3, {.width = 100, .items = 5, .attention = kShape}).value();
  for (int worker = 0; worker < 3; ++worker) {
    uint8_t* const place = workspace.OfWorker(worker, kBytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(place) % AlignedBuffer::kAlignment, 0u);
    std::memset(place, worker, kBytes);
  }
  const int64_t shared = AttentionSharedMemory(kScalarKernels, kShape, 5, 3, nullptr).bytes;
  std::memset(workspace.Shared(shared), 9, shared);
  for (int worker = 0; worker < 3; ++worker) {
    EXPECT_EQ(workspace.OfWorker(worker, kBytes)[kBytes - 1], worker);
  }
}

// The parts of a deep context are computed in rounds.
TEST(WorkspaceTest, DependsOnThreadsAndNotOnTheDepth) {
  const auto bytes = [](int64_t items, int workers) {
    return AttentionSharedMemory(kScalarKernels, kShape, items, workers, nullptr).bytes;
  };
  EXPECT_LT(bytes(128, 64), 16 << 20);
  EXPECT_LT(bytes(128, 2), 1 << 20);
}

TEST(WorkspaceTest, MemoryThatThereIsNotIsAnError) {
  const auto workspace = Workspace::Create(
      kScalarKernels, 1, {.width = int64_t{1} << 54, .items = 1, .attention = kShape});
  EXPECT_EQ(workspace.status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace nearfar
