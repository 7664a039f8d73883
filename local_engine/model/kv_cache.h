// Keys and values of one sequence, so that a token is computed once.
//
// Memory comes in parts of kAttentionPart positions, which hold what all layers keep of them, in
// the order that Attention (ops/ops.h) reads: what a layer and a KV head keep of a part is one
// stream. It grows by doubling up to the context, so that a short conversation on a long-context
// model stays small; what is there stays where it is, nothing is copied. Held by
// tests/local_engine/model/kv_cache_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_KV_CACHE_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_KV_CACHE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "local_engine/base/aligned_buffer.h"
#include "local_engine/model/config.h"
#include "local_engine/ops/ops.h"

namespace nearfar {

// One caller at a time.
class KvCache {
 public:
  // Allocates nothing yet. Of `config`, layers, kv_heads and head_width matter. type: kF16, kQ8_0.
  KvCache(const ModelConfig& config, DType type, int context);

  int length() const { return length_; }      // positions that are valid in every layer
  int context() const { return context_; }    // most positions there can be
  int capacity() const { return capacity_; }  // positions that memory is held for
  int64_t bytes() const;                      // held memory

  // Makes room for positions [0, positions). Errors: ResourceExhausted (beyond the context, or no
  // memory); the content stays as it was.
  absl::Status Reserve(int positions);

  // Positions below `length` stay, the rest is forgotten; memory is kept. length <= length().
  void Truncate(int length);

  // `positions` more have been written in every layer.
  void Advance(int positions);

  // Forgets all and frees the memory.
  void Release();

  // Valid until the next Reserve or Release.
  KvView layer(int layer) const { return {parts_.data(), layer * layer_bytes_}; }

 private:
  const int64_t layer_bytes_;  // of a part
  const int64_t part_bytes_;
  const int context_;
  int capacity_ = 0;
  int length_ = 0;
  std::vector<AlignedBuffer> grown_;  // at each growth; some parts each
  std::vector<uint8_t*> parts_;       // where they are
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_KV_CACHE_H_
