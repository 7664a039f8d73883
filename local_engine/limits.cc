#include "local_engine/limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "local_engine/base/aligned_buffer.h"
#include "local_engine/base/start_thread.h"
#include "local_engine/base/thread_pool.h"
#include "local_engine/base/usable_cpus.h"
#include "local_engine/base/usable_memory.h"
#include "local_engine/kernels/dispatch.h"

namespace nearfar {
namespace {

// A pass is long beside the hand-over of a job, and short beside another program's time slices:
// some pass is not disturbed.
constexpr double kPassSeconds = 0.01;
constexpr double kAllSeconds = 0.5;
constexpr int64_t kMostRounds = int64_t{1} << 30;

double SecondsOf(absl::FunctionRef<void(int64_t)> work, int64_t rounds) {
  const auto start = std::chrono::steady_clock::now();
  work(rounds);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Rounds per second of the fastest pass: the others were disturbed.
double BestRate(absl::FunctionRef<void(int64_t rounds)> work) {
  int64_t rounds = 1;
  double best = SecondsOf(work, rounds);
  while (best < kPassSeconds && rounds < kMostRounds) {
    rounds *= 2;
    best = SecondsOf(work, rounds);
  }
  for (double all = best; all < kAllSeconds;) {
    const double seconds = SecondsOf(work, rounds);
    all += seconds;
    best = std::min(best, seconds);
  }
  return static_cast<double>(rounds) / best;
}

// ---- Reading.

// A chunk is long beside what a prefetcher takes to start.
constexpr int64_t kGrain = kSumGrain * sizeof(float);
constexpr int64_t kLeastChunk = 8 * kGrain, kMostChunk = 1 << 20;
constexpr int kChunksOfThread = 8;  // at least, so that a slow core takes fewer

int64_t ChunkBytes(int64_t bytes, int threads) {
  const int64_t chunk = bytes / (int64_t{kChunksOfThread} * threads) / kGrain * kGrain;
  return std::clamp(chunk, kLeastChunk, kMostChunk);
}

absl::StatusOr<double> ReadBytesPerSecond(int64_t bytes, const KernelTable& kernels,
                                          ThreadPool* pool) {
  const int64_t chunk_bytes = ChunkBytes(bytes, pool->size());
  const int64_t chunks = std::max<int64_t>(bytes / chunk_bytes, 1);
  const int64_t floats = chunk_bytes / static_cast<int64_t>(sizeof(float));
  absl::StatusOr<AlignedBuffer> buffer = AlignedBuffer::Create(chunks * chunk_bytes);
  if (!buffer.ok()) return buffer.status();
  float* const memory = buffer->as<float>();
  pool->Run(chunks,
            [&](int64_t chunk, int) { std::fill_n(memory + chunk * floats, floats, 1.0f); });
  std::atomic<int64_t> seen{0};
  const double sweeps = BestRate([&](int64_t rounds) {
    pool->Run(rounds * chunks, [&](int64_t chunk, int) {
      const float sum = kernels.sum_stream(memory + chunk % chunks * floats, floats);
      seen.fetch_add(static_cast<int64_t>(sum), std::memory_order_relaxed);
    });
  });
  return sweeps * static_cast<double>(buffer->size());
}

// ---- Multiplying.

constexpr int64_t kDotRounds = 4096;  // of a chunk: some hundred microseconds
static_assert(kDotRounds <= kMostDotRounds);

double OperationsPerSecond(const KernelTable& kernels, ThreadPool* pool) {
  std::atomic<int64_t> seen{0};
  const double rate = BestRate([&](int64_t rounds) {
    pool->Run(rounds * pool->size(), [&](int64_t, int) {
      seen.fetch_add(kernels.dot_rounds(kDotRounds), std::memory_order_relaxed);
    });
  });
  return rate * static_cast<double>(pool->size() * kDotRounds * kernels.dot_round_ops);
}

absl::Status CheckOptions(const LimitOptions& options) {
  if (options.threads < 1 || options.threads > ThreadPool::kMostThreads) {
    return absl::InvalidArgumentError(absl::StrCat("LimitOptions::threads: ", options.threads,
                                                   " is outside [1, ", ThreadPool::kMostThreads,
                                                   "]"));
  }
  if (options.bytes < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("LimitOptions::bytes: ", options.bytes, " is below 1"));
  }
  return absl::OkStatus();
}

int64_t BytesToStream(int64_t bytes) {
  const int64_t usable = UsableMemory();
  return usable > 0 ? std::min(bytes, usable / 2) : bytes;
}

// Of checked options.
absl::StatusOr<MachineLimits> Measure(const LimitOptions& options, const KernelTable& kernels) {
  // On a clock that stands still no wait is long: the pool never goes on without its other threads.
  const auto pool = ThreadPool::Create(options.threads, StartThread, [] { return int64_t{0}; });
  if (!pool.ok()) return pool.status();
  MachineLimits limits;
  limits.kernels = kernels.name;
  limits.bytes = BytesToStream(options.bytes);
  // Memory is as fast as it is, whatever kernels are asked for.
  const KernelTable& widest = **SelectKernels("", ThisCpu());
  const absl::StatusOr<double> read = ReadBytesPerSecond(limits.bytes, widest, pool->get());
  if (!read.ok()) return read.status();
  limits.read_bytes_per_second = *read;
  limits.int8_operations_per_second = OperationsPerSecond(kernels, pool->get());
  return limits;
}

}  // namespace

absl::StatusOr<MachineLimits> MeasureLimits(const LimitOptions& options) {
  const absl::Status checked = CheckOptions(options);
  if (!checked.ok()) return checked;
  const absl::StatusOr<const KernelTable*> kernels = SelectKernels(options.kernels);
  if (!kernels.ok()) return kernels.status();
  // On a thread of its own, which is kept to the CPUs that an engine's is.
  absl::StatusOr<MachineLimits> limits = MachineLimits{};
  absl::StatusOr<std::thread> thread = StartThread("nearfar-limits", [&] {
    KeepToFastCpus(options.threads);
    limits = Measure(options, **kernels);
  });
  if (!thread.ok()) return thread.status();
  thread->join();
  return limits;
}

}  // namespace nearfar
