// local_engine/base/thread_pool.h: every chunk exactly once, everything visible afterwards, for
// more threads than the machine has too. Run under ThreadSanitizer by scripts/test.sh --long.

#include "local_engine/base/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace nearfar {
namespace {

class ThreadPoolTest : public ::testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, RunsEveryChunkOnceWithAWorkerInRange) {
  const auto pool = ThreadPool::Create(GetParam()).value();
  EXPECT_EQ(pool->size(), GetParam());
  for (const int64_t chunks : {0, 1, 2, 3, 7, 64, 1000}) {
    std::vector<int> runs(static_cast<size_t>(chunks));  // plain ints: a chunk is one worker's
    std::atomic<bool> in_range = true;
    pool->Run(chunks, [&](int64_t chunk, int worker) {
      ++runs[static_cast<size_t>(chunk)];
      if (worker < 0 || worker >= pool->size()) in_range = false;
    });
    EXPECT_EQ(runs, std::vector<int>(static_cast<size_t>(chunks), 1));
    EXPECT_TRUE(in_range);
  }
}

// What a job wrote, the next one reads: the pool is the only synchronisation here.
TEST_P(ThreadPoolTest, JobsFollowEachOtherAndSeeEachOthersWrites) {
  const auto pool = ThreadPool::Create(GetParam()).value();
  constexpr int64_t kChunks = 16;
  std::vector<int64_t> values(kChunks, 0);
  std::vector<int64_t> next(kChunks, 0);
  for (int round = 0; round < 2000; ++round) {
    pool->Run(kChunks, [&](int64_t chunk, int) {
      next[static_cast<size_t>(chunk)] = values[static_cast<size_t>((chunk + 1) % kChunks)] + 1;
    });
    std::swap(values, next);
  }
  EXPECT_EQ(values, std::vector<int64_t>(kChunks, 2000));
}

// One worker's scratch is never in two hands.
TEST_P(ThreadPoolTest, AWorkerNumberIsOneThreadAtATime) {
  const auto pool = ThreadPool::Create(GetParam()).value();
  const auto busy = std::make_unique<std::atomic<int>[]>(static_cast<size_t>(pool->size()));
  std::atomic<bool> shared = false;
  pool->Run(500, [&](int64_t, int worker) {
    if (busy[static_cast<size_t>(worker)].fetch_add(1) != 0) shared = true;
    std::this_thread::yield();
    busy[static_cast<size_t>(worker)].fetch_sub(1);
  });
  EXPECT_FALSE(shared);
}

TEST_P(ThreadPoolTest, MayBeMadeAndDroppedAtAnyTime) {
  for (int round = 0; round < 50; ++round) {
    const auto pool = ThreadPool::Create(GetParam()).value();
    if (round % 2 == 0) continue;  // dropped before its first job
    std::atomic<int64_t> sum = 0;
    pool->Run(10, [&](int64_t chunk, int) { sum += chunk; });
    EXPECT_EQ(sum, 45);
  }
}

// Also dropped while some sleep.
TEST_P(ThreadPoolTest, NoMoreWorkersThanAreUsedHaveAPart) {
  const auto pool = ThreadPool::Create(GetParam()).value();
  for (int round = 0; round < 200; ++round) {
    const int used = 1 + round * 7 % GetParam();
    pool->Use(used);
    std::atomic<int64_t> sum = 0;
    std::atomic<bool> others = false;
    pool->Run(20, [&](int64_t chunk, int worker) {
      sum += chunk;
      if (worker >= used) others = true;
    });
    EXPECT_EQ(sum, 190);
    EXPECT_FALSE(others) << "of " << used;
  }
  EXPECT_EQ(pool->size(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Sizes, ThreadPoolTest, ::testing::Values(1, 2, 3, 8, 32));

// A worker that is held inside its chunk must not hold the others' chunks: they all finish while it
// waits for them.
TEST(ThreadPoolOrderTest, ASlowChunkDoesNotHoldTheRest) {
  const auto pool = ThreadPool::Create(2).value();
  constexpr int64_t kChunks = 100;
  std::atomic<int64_t> finished = 0;
  pool->Run(kChunks, [&](int64_t chunk, int) {
    if (chunk == 0) {
      while (finished.load() != kChunks - 1) std::this_thread::yield();
    }
    ++finished;
  });
  EXPECT_EQ(finished, kChunks);
}

TEST(ThreadPoolOrderTest, AfterALongRestTheWorkersAreThere) {
  const auto pool = ThreadPool::Create(2).value();
  std::atomic<int> arrived = 0;
  for (int round = 0; round < 3; ++round) {
    // Long enough, by the pool's own count of spins, for the worker to have gone to sleep.
    for (int i = 0; i < 20000; ++i) std::this_thread::yield();
    arrived = 0;
    pool->Run(2, [&](int64_t, int) {
      ++arrived;
      while (arrived.load() != 2) std::this_thread::yield();  // needs both threads
    });
    EXPECT_EQ(arrived, 2);
  }
}

TEST(ThreadPoolOrderTest, WorkersThatWereNotUsedComeBack) {
  const auto pool = ThreadPool::Create(3, StartThread, [] { return int64_t{0}; }).value();
  for (const int used : {3, 1, 2, 3, 2}) {
    pool->Use(used);
    std::atomic<int> arrived = 0;
    pool->Run(used, [&](int64_t, int) {
      ++arrived;
      while (arrived.load() != used) std::this_thread::yield();  // needs all of them
    });
    EXPECT_EQ(arrived, used);
  }
}

// ---- Where the system gives no more threads.

std::atomic<int> starts = 0;
constexpr int kFourth = 4;

absl::StatusOr<std::thread> StartUntilTheFourth(const char* name, std::function<void()> body) {
  if (++starts >= kFourth) return absl::ResourceExhaustedError("no more");
  return StartThread(name, std::move(body));
}

TEST(ThreadPoolCreateTest, AThreadThatCannotStartEndsTheOthersAndIsAnError) {
  starts = 0;
  const auto pool = ThreadPool::Create(8, StartUntilTheFourth);
  EXPECT_EQ(pool.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(pool.status().message(), "thread 5 of 8: no more");
  EXPECT_EQ(starts, kFourth) << "the first failure ends it";
}

// Stacks for which no address space is left: the system's own refusal.
TEST(StartThreadTest, ARefusalOfTheSystemIsAnError) {
  pthread_attr_t usual, huge;
  ASSERT_EQ(pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(pthread_attr_init(&huge), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&huge, size_t{1} << 50), 0);
  ASSERT_EQ(pthread_setattr_default_np(&huge), 0);
  const auto thread = StartThread("never", [] { ADD_FAILURE() << "it ran"; });
  EXPECT_EQ(pthread_setattr_default_np(&usual), 0);
  pthread_attr_destroy(&huge);
  pthread_attr_destroy(&usual);
  EXPECT_EQ(thread.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(thread.status().message().find("fewer threads"), absl::string_view::npos);
}

// A pool of two on a machine whose time the test sets.
class StalledThreadPoolTest : public ::testing::Test {
 protected:
  static constexpr int64_t kMillisecond = 1'000'000;

  // A job whose second worker is stopped within its chunk: it goes on when the caller waits for it,
  // which the caller shows by asking for the time again, and then `stall` has passed.
  void RunStalled(int64_t stall) {
    std::atomic<bool> taken = false, caller_waits = false;
    bool caller_done = false;
    on_clock_ = [&] {
      if (caller_waits) now_ += stall;
      if (caller_done) caller_waits = true;
    };
    pool_->Run(2, [&](int64_t, int worker) {
      if (worker == 1) taken = true;
      while (worker == 0 ? !taken : !caller_waits) std::this_thread::yield();
      if (worker == 0) caller_done = true;
    });
    on_clock_ = nullptr;
  }
  // Returns when both workers have had a part in a job.
  void RunTogether() { RunStalled(0); }
  bool RunsAlone() {
    bool alone = true;
    for (int job = 0; job < 200; ++job) {
      std::atomic<bool> other = false;
      pool_->Run(64, [&](int64_t, int worker) {
        if (worker != 0) other = true;
      });
      alone = alone && !other;
    }
    return alone;
  }

  int64_t now_ = 1000 * kMillisecond;

 private:
  std::function<void()> on_clock_;
  const std::unique_ptr<ThreadPool> pool_ = ThreadPool::Create(2, StartThread, [this] {
                                              if (on_clock_) on_clock_();
                                              return now_;
                                            }).value();
};

TEST_F(StalledThreadPoolTest, AStalledJobIsFollowedByWorkAlone) {
  RunStalled(4 * kMillisecond);
  EXPECT_TRUE(RunsAlone());
  now_ += 20 * kMillisecond - 1;
  EXPECT_TRUE(RunsAlone());
  ++now_;
  RunTogether();
}

TEST_F(StalledThreadPoolTest, TheNextTryIsLaterEachTime) {
  for (const int64_t alone : {20, 40, 80, 160, 320, 640, 1000, 1000}) {
    RunStalled(4 * kMillisecond);
    now_ += alone * kMillisecond - 1;
    EXPECT_TRUE(RunsAlone()) << alone;
    ++now_;
    RunTogether();
  }
}

// Stalls that come now and then are no process that wants the core.
TEST_F(StalledThreadPoolTest, AsLongTogetherAsAloneForgetsWhatWas) {
  for (const int64_t alone : {20, 40}) {
    RunStalled(4 * kMillisecond);
    now_ += alone * kMillisecond;
  }
  RunTogether();
  now_ += 40 * kMillisecond;
  RunStalled(4 * kMillisecond);
  now_ += 20 * kMillisecond;
  RunTogether();
}

TEST_F(StalledThreadPoolTest, AShortWaitIsWork) {
  RunStalled(kMillisecond / 10);
  RunTogether();
}

}  // namespace
}  // namespace nearfar
