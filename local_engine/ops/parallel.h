// How the ops cut their work: chunks for the pool, or a plain loop where waking it costs more.

#ifndef NEARFAR_LOCAL_ENGINE_OPS_PARALLEL_H_
#define NEARFAR_LOCAL_ENGINE_OPS_PARALLEL_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "local_engine/base/thread_pool.h"

namespace nearfar {

// body(chunk) for each chunk in [0, chunks). Returns when all have returned.
inline void RunChunks(ThreadPool* pool, int64_t chunks,
                      absl::FunctionRef<void(int64_t chunk)> body) {
  if (chunks <= 1 || pool->size() == 1) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk);
    return;
  }
  pool->Run(chunks, [&](int64_t chunk, int) { body(chunk); });
}

// body(begin, end) over [0, n) in ranges of `grain` or, at the end, less.
inline void RunRanges(ThreadPool* pool, int64_t n, int64_t grain,
                      absl::FunctionRef<void(int64_t begin, int64_t end)> body) {
  RunChunks(pool, (n + grain - 1) / grain, [&](int64_t chunk) {
    const int64_t begin = chunk * grain;
    body(begin, begin + grain < n ? begin + grain : n);
  });
}

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_OPS_PARALLEL_H_
