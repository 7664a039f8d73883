// A model's matrices in the order that the kernels read (packing/packing.h).
// Held by tests/local_engine/model/packed_weights_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_PACKED_WEIGHTS_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_PACKED_WEIGHTS_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "local_engine/base/aligned_buffer.h"
#include "local_engine/base/mapped_file.h"
#include "local_engine/base/thread_pool.h"
#include "local_engine/gguf/gguf_file.h"
#include "local_engine/model/weights.h"

namespace nearfar {

// Where packed weights are. `bytes` borrows from one of the others.
struct PackedMemory {
  AlignedBuffer own;                 // of this process, or
  std::unique_ptr<MappedFile> file;  // of a cache file (packed_cache.h)
  absl::Span<const uint8_t> bytes;
};

// Immutable. `weights` borrows from `memory`, and from the file what is not packed: float matrices,
// and an embedding that is not the output too, of which only single rows are read.
struct PackedWeights {
  ModelWeights weights;
  PackedMemory memory;
};

// Bytes of the packed form.
int64_t PackedBytes(const ModelWeights& weights);

// Packs on all threads of the pool; the file's pages that have been read are given back, so that
// one copy stays in memory. Errors: ResourceExhausted.
absl::StatusOr<PackedWeights> PackWeights(const ModelWeights& weights, const GgufFile& file,
                                          ThreadPool* pool);

// `weights` as they stand in memory that holds what PackWeights once made of them.
PackedWeights PlacePackedWeights(const ModelWeights& weights, PackedMemory memory);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_PACKED_WEIGHTS_H_
