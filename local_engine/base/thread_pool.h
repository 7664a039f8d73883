// A fixed set of threads that run one job at a time, in dynamic chunks.
//
// The caller's thread is worker 0; a pool of n has n - 1 threads of its own. Chunks are handed out
// by an atomic counter, so a slow core takes fewer of them and does not hold the rest. Workers spin
// for a short while between jobs and then sleep; of big.LITTLE they keep to the big cores
// (usable_cpus.h).
//
// A thread that the system stops within a chunk, because another process wants its core, would hold
// every job for a time slice. The pool notices such a wait, works on the caller's thread alone for
// a while, and tries the others again: after 20 ms, and after twice as long each time, up to a
// second, if the next such wait follows soon.
//
// Of a hot device fewer threads may be used for a while; the others then sleep. Held by
// tests/local_engine/base/thread_pool_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_THREAD_POOL_H_
#define NEARFAR_LOCAL_ENGINE_BASE_THREAD_POOL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "local_engine/base/start_thread.h"

namespace nearfar {

// One caller at a time.
class ThreadPool {
 public:
  using ThreadStarter = absl::StatusOr<std::thread> (*)(const char* name,
                                                        std::function<void()> body);

  using Clock = std::function<int64_t()>;  // nanoseconds, of the caller's thread in Run

  static constexpr int kMostThreads = 512;  // that anyone is allowed to ask for

  // threads >= 1; `start` and `clock` are others than the system's in tests.
  // Errors: those of StartThread, and the threads that had been started are ended.
  static absl::StatusOr<std::unique_ptr<ThreadPool>> Create(int threads,
                                                            ThreadStarter start = StartThread,
                                                            Clock clock = nullptr);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  // From the next job on only the workers [0, threads) have a part; the others sleep, and no job
  // wakes them. threads in [1, size()]; at first it is size(). Costs nothing where it is so
  // already.
  void Use(int threads);

  // How many of them have a part in jobs. Thread-safe.
  int used() const;

  // Calls body(chunk, worker) once for each chunk in [0, chunks), worker in [0, size()), and
  // returns when all have returned. Body must not throw, and must not call Run.
  void Run(int64_t chunks, absl::FunctionRef<void(int64_t chunk, int worker)> body);

 private:
  struct Impl;

  ThreadPool(int threads, Clock clock);

  std::unique_ptr<Impl> impl_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_THREAD_POOL_H_
