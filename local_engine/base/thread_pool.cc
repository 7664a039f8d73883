// The pool's one job at a time, handed out chunk by chunk.
//
// One 64-bit ticket holds (job number, chunks not yet claimed). A worker claims a chunk by
// decrementing the second half, and the compare-and-swap fails if the job has changed in the
// meantime; so a worker that wakes late, or was descheduled on a busy machine, can neither run a
// chunk of a finished job nor hold up a running one: Run waits for claimed chunks, not for threads.
// Everything else about a job is read only between a successful claim and its "done", a time in
// which Run cannot have returned.
// Held by tests/local_engine/base/thread_pool_test.cc, also under ThreadSanitizer.

#include "local_engine/base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "local_engine/base/usable_cpus.h"

namespace nearfar {
namespace {

// About 30 microseconds of polling: longer than the gap between two layers' jobs, shorter than
// anyone would notice on a battery.
constexpr int kSpins = 1000;
// A wait for others' chunks that is longer than this and than some chunks of this job take is not
// work: a system's time slice is milliseconds.
constexpr int64_t kStallNanoseconds = 200'000;
constexpr int64_t kStallChunks = 4;
// How long the caller then works alone.
constexpr int64_t kLeastAlone = 20'000'000;
constexpr int64_t kMostAlone = 1'000'000'000;
// Chunks of one job fit in half a ticket.
constexpr int64_t kMaxChunks = int64_t{1} << 31;

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");  // `yield` is a no-op on most cores
#else
  std::this_thread::yield();
#endif
}

// Waits until `value` differs from `old`: polls for a while, then sleeps in the kernel.
uint32_t WaitForChange(const std::atomic<uint32_t>& value, uint32_t old, int spins) {
  for (int i = 0; i < spins; ++i) {
    const uint32_t now = value.load(std::memory_order_acquire);
    if (now != old) return now;
    Pause();
  }
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

int64_t SteadyNanoseconds() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

}  // namespace

struct ThreadPool::Impl {
  using Body = absl::FunctionRef<void(int64_t, int)>;

  Impl(int threads, Clock chosen_clock)
      : size(threads),
        spins(threads <= UsableCpus() ? kSpins : 0),
        used(threads),
        clock(chosen_clock != nullptr ? std::move(chosen_clock) : Clock(SteadyNanoseconds)) {}

  bool Alone();
  void RunJob(int64_t first_chunk, uint32_t count, Body& job_body);
  uint32_t Work(int worker);
  void WaitForOthers(int64_t began, uint32_t own_chunks);
  void GoAlone(int64_t now);
  void WorkerLoop(int worker);
  void WaitToBeUsed(int worker);

  const int size;
  const int spins;  // 0 where threads outnumber CPUs: a spinning one would hold a working one

  std::atomic<int> used;  // workers that have a part in jobs; written between them

  const Clock clock;

  // The caller's: it works alone until alone_until, because it was stalled; how long the last time.
  int64_t alone_until = 0;
  int64_t alone_for = 0;

  // The job; written by Run, read by whoever has claimed a chunk of it.
  Body* body = nullptr;
  int64_t first = 0;
  uint32_t chunks = 0;

  // On lines of their own, so that waiting for a job does not disturb claiming its chunks.
  alignas(64) std::atomic<uint64_t> ticket{0};      // job number << 32 | chunks not yet claimed
  alignas(64) std::atomic<uint32_t> unfinished{0};  // chunks whose body has not returned
  alignas(64) std::atomic<uint32_t> job_number{0};  // what sleeping workers wait for
  std::atomic<bool> stopping{false};

  std::vector<std::thread> threads;
};

// Claims and runs chunks of the current job until none is left; returns how many it ran. `used` is
// read after the ticket: a worker that sees a job sees how many may work on it, and with an older
// ticket no claim succeeds.
uint32_t ThreadPool::Impl::Work(int worker) {
  uint32_t ran = 0;
  uint64_t seen = ticket.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(seen) != 0 && worker < used.load(std::memory_order_relaxed)) {
    if (!ticket.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
      continue;
    }
    (*body)(first + (chunks - static_cast<uint32_t>(seen)), worker);
    ++ran;
    if (unfinished.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished.notify_all();
    seen = ticket.load(std::memory_order_acquire);
  }
  return ran;
}

void ThreadPool::Impl::WorkerLoop(int worker) {
  KeepToFastCpus(size);
  uint32_t seen = 0;
  while (true) {
    WaitToBeUsed(worker);
    seen = WaitForChange(job_number, seen, spins);
    if (stopping.load(std::memory_order_acquire)) return;
    Work(worker);
  }
}

void ThreadPool::Impl::WaitToBeUsed(int worker) {
  int now = used.load(std::memory_order_acquire);
  while (worker >= now) {
    used.wait(now, std::memory_order_acquire);
    now = used.load(std::memory_order_acquire);
  }
}

void ThreadPool::Impl::RunJob(int64_t first_chunk, uint32_t count, Body& job_body) {
  body = &job_body;
  first = first_chunk;
  chunks = count;
  unfinished.store(count, std::memory_order_relaxed);
  const uint32_t number = job_number.load(std::memory_order_relaxed) + 1;
  ticket.store(uint64_t{number} << 32 | count, std::memory_order_release);
  job_number.store(number);  // sequentially consistent: not to be passed by the check for sleepers
  job_number.notify_all();
  const int64_t began = clock();
  const uint32_t own_chunks = Work(0);
  if (unfinished.load(std::memory_order_acquire) != 0) WaitForOthers(began, own_chunks);
}

void ThreadPool::Impl::WaitForOthers(int64_t began, uint32_t own_chunks) {
  const int64_t waits = clock();
  uint32_t left = unfinished.load(std::memory_order_acquire);
  while (left != 0) left = WaitForChange(unfinished, left, spins);
  if (own_chunks == 0) return;  // the caller itself was held up: nothing to compare with
  const int64_t now = clock(), chunk = (waits - began) / own_chunks;
  if (now - waits > std::max(kStallNanoseconds, kStallChunks * chunk)) GoAlone(now);
}

// Longer each time, until the threads have worked together for as long as they were apart.
void ThreadPool::Impl::GoAlone(int64_t now) {
  const bool again = now - alone_until < alone_for;
  alone_for = again ? std::min(2 * alone_for, kMostAlone) : kLeastAlone;
  alone_until = now + alone_for;
}

bool ThreadPool::Impl::Alone() { return alone_until != 0 && clock() < alone_until; }

absl::StatusOr<std::unique_ptr<ThreadPool>> ThreadPool::Create(int threads, ThreadStarter start,
                                                               Clock clock) {
  assert(threads >= 1);
  std::unique_ptr<ThreadPool> pool(new ThreadPool(threads, std::move(clock)));
  Impl* impl = pool->impl_.get();
  for (int worker = 1; worker < threads; ++worker) {
    absl::StatusOr<std::thread> thread =
        start("nearfar-worker", [impl, worker] { impl->WorkerLoop(worker); });
    if (!thread.ok()) {
      return absl::Status(
          thread.status().code(),
          absl::StrCat("thread ", worker + 1, " of ", threads, ": ", thread.status().message()));
    }
    impl->threads.push_back(*std::move(thread));
  }
  return pool;
}

ThreadPool::ThreadPool(int threads, Clock clock)
    : impl_(std::make_unique<Impl>(threads, std::move(clock))) {}

ThreadPool::~ThreadPool() {
  impl_->stopping.store(true, std::memory_order_release);
  Use(impl_->size);
  impl_->job_number.fetch_add(1);
  impl_->job_number.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
}

int ThreadPool::size() const { return impl_->size; }

int ThreadPool::used() const { return impl_->used.load(std::memory_order_relaxed); }

void ThreadPool::Use(int threads) {
  assert(threads >= 1 && threads <= impl_->size);
  if (impl_->used.load(std::memory_order_relaxed) == threads) return;  // asked before every layer
  impl_->used.store(threads);
  impl_->used.notify_all();
}

void ThreadPool::Run(int64_t chunks, absl::FunctionRef<void(int64_t chunk, int worker)> body) {
  const bool one = impl_->used.load(std::memory_order_relaxed) == 1;
  if (one || chunks <= 1 || impl_->Alone()) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk, 0);
    return;
  }
  for (int64_t first = 0; first < chunks; first += kMaxChunks) {
    const int64_t count = std::min(chunks - first, kMaxChunks);
    impl_->RunJob(first, static_cast<uint32_t>(count), body);
  }
}

}  // namespace nearfar
