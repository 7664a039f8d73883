// local_engine/base/thread_pool.h: every chunk exactly once, everything visible afterwards, for
// more threads than the machine has too. Run under ThreadSanitizer by scripts/test.sh --long.

#include "local_engine/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace nearfar {
namespace {

class ThreadPoolTest : public ::testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, RunsEveryChunkOnceWithAWorkerInRange) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.size(), GetParam());
  for (const int64_t chunks : {0, 1, 2, 3, 7, 64, 1000}) {
    std::vector<int> runs(static_cast<size_t>(chunks));  // plain ints: a chunk is one worker's
    std::atomic<bool> in_range = true;
    pool.Run(chunks, [&](int64_t chunk, int worker) {
      ++runs[static_cast<size_t>(chunk)];
      if (worker < 0 || worker >= pool.size()) in_range = false;
    });
    EXPECT_EQ(runs, std::vector<int>(static_cast<size_t>(chunks), 1));
    EXPECT_TRUE(in_range);
  }
}

// What a job wrote, the next one reads: the pool is the only synchronisation here.
TEST_P(ThreadPoolTest, JobsFollowEachOtherAndSeeEachOthersWrites) {
  ThreadPool pool(GetParam());
  constexpr int64_t kChunks = 16;
  std::vector<int64_t> values(kChunks, 0);
  std::vector<int64_t> next(kChunks, 0);
  for (int round = 0; round < 2000; ++round) {
    pool.Run(kChunks, [&](int64_t chunk, int) {
      next[static_cast<size_t>(chunk)] = values[static_cast<size_t>((chunk + 1) % kChunks)] + 1;
    });
    std::swap(values, next);
  }
  EXPECT_EQ(values, std::vector<int64_t>(kChunks, 2000));
}

// One worker's scratch is never in two hands.
TEST_P(ThreadPoolTest, AWorkerNumberIsOneThreadAtATime) {
  ThreadPool pool(GetParam());
  const auto busy = std::make_unique<std::atomic<int>[]>(static_cast<size_t>(pool.size()));
  std::atomic<bool> shared = false;
  pool.Run(500, [&](int64_t, int worker) {
    if (busy[static_cast<size_t>(worker)].fetch_add(1) != 0) shared = true;
    std::this_thread::yield();
    busy[static_cast<size_t>(worker)].fetch_sub(1);
  });
  EXPECT_FALSE(shared);
}

TEST_P(ThreadPoolTest, MayBeMadeAndDroppedAtAnyTime) {
  for (int round = 0; round < 50; ++round) {
    ThreadPool pool(GetParam());
    if (round % 2 == 0) continue;  // dropped before its first job
    std::atomic<int64_t> sum = 0;
    pool.Run(10, [&](int64_t chunk, int) { sum += chunk; });
    EXPECT_EQ(sum, 45);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, ThreadPoolTest, ::testing::Values(1, 2, 3, 8, 32));

// A worker that is held inside its chunk must not hold the others' chunks: they all finish while it
// waits for them.
TEST(ThreadPoolOrderTest, ASlowChunkDoesNotHoldTheRest) {
  ThreadPool pool(2);
  constexpr int64_t kChunks = 100;
  std::atomic<int64_t> finished = 0;
  pool.Run(kChunks, [&](int64_t chunk, int) {
    if (chunk == 0) {
      while (finished.load() != kChunks - 1) std::this_thread::yield();
    }
    ++finished;
  });
  EXPECT_EQ(finished, kChunks);
}

TEST(ThreadPoolOrderTest, AfterALongRestTheWorkersAreThere) {
  ThreadPool pool(2);
  std::atomic<int> arrived = 0;
  for (int round = 0; round < 3; ++round) {
    // Long enough, by the pool's own count of spins, for the worker to have gone to sleep.
    for (int i = 0; i < 20000; ++i) std::this_thread::yield();
    arrived = 0;
    pool.Run(2, [&](int64_t, int) {
      ++arrived;
      while (arrived.load() != 2) std::this_thread::yield();  // needs both threads
    });
    EXPECT_EQ(arrived, 2);
  }
}

}  // namespace
}  // namespace nearfar
