// A fixed set of threads that run one job at a time, in dynamic chunks.
//
// The caller's thread is worker 0; a pool of n has n - 1 threads of its own. Chunks are handed out
// by an atomic counter, so a slow or busy core takes fewer of them and does not hold the rest.
// Workers spin for a short while between jobs and then sleep.
// Held by tests/local_engine/base/thread_pool_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_THREAD_POOL_H_
#define NEARFAR_LOCAL_ENGINE_BASE_THREAD_POOL_H_

#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"

namespace nearfar {

// One caller at a time.
class ThreadPool {
 public:
  // threads >= 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  // Calls body(chunk, worker) once for each chunk in [0, chunks), worker in [0, size()), and
  // returns when all have returned. Body must not throw, and must not call Run.
  void Run(int64_t chunks, absl::FunctionRef<void(int64_t chunk, int worker)> body);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_THREAD_POOL_H_
