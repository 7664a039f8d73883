#include "local_engine/ops/worker_scratch.h"

#include <cstddef>

#include "local_engine/base/aligned_buffer.h"

namespace nearfar {

uint8_t* WorkerScratch(int64_t bytes) {
  thread_local AlignedBuffer buffer;
  const size_t wanted = static_cast<size_t>(bytes);
  if (buffer.size() < wanted) buffer = AlignedBuffer(wanted);
  return buffer.data();
}

}  // namespace nearfar
