// A model's matrices in the order that the kernels read (packing/packing.h).
// Held by tests/local_engine/model/packed_weights_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_PACKED_WEIGHTS_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_PACKED_WEIGHTS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "local_engine/base/aligned_buffer.h"
#include "local_engine/base/thread_pool.h"
#include "local_engine/gguf/gguf_file.h"
#include "local_engine/model/weights.h"

namespace nearfar {

// Immutable. `weights` borrows from `memory`, and from the file what is not packed: float matrices,
// and an embedding that is not the output too, of which only single rows are read.
struct PackedWeights {
  ModelWeights weights;
  AlignedBuffer memory;
};

// Bytes of the packed form.
int64_t PackedBytes(const ModelWeights& weights);

// Packs on all threads of the pool; the file's pages that have been read are given back, so that
// one copy stays in memory. Errors: ResourceExhausted.
absl::StatusOr<PackedWeights> PackWeights(const ModelWeights& weights, const GgufFile& file,
                                          ThreadPool* pool);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_PACKED_WEIGHTS_H_
