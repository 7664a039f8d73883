// Working memory of one thread for the length of one kernel call.

#ifndef NEARFAR_LOCAL_ENGINE_OPS_WORKER_SCRATCH_H_
#define NEARFAR_LOCAL_ENGINE_OPS_WORKER_SCRATCH_H_

#include <cstdint>

namespace nearfar {

// At least `bytes` bytes aligned to 64, the same for every caller on this thread: its content lives
// until the next call. Grows, and is freed with the thread.
uint8_t* WorkerScratch(int64_t bytes);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_OPS_WORKER_SCRATCH_H_
