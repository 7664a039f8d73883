// How the ops cut their work.

#ifndef NEARFAR_LOCAL_ENGINE_OPS_PARALLEL_H_
#define NEARFAR_LOCAL_ENGINE_OPS_PARALLEL_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "local_engine/base/thread_pool.h"

namespace nearfar {

// body(begin, end, worker) over [0, n) in ranges of `grain` or, at the end, less.
inline void RunRanges(ThreadPool* pool, int64_t n, int64_t grain,
                      absl::FunctionRef<void(int64_t begin, int64_t end, int worker)> body) {
  pool->Run((n + grain - 1) / grain, [&](int64_t chunk, int worker) {
    const int64_t begin = chunk * grain;
    body(begin, begin + grain < n ? begin + grain : n, worker);
  });
}

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_OPS_PARALLEL_H_
