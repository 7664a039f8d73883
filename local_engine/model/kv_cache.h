// Keys and values of one sequence, so that a token is computed once.
//
// Per layer one block of keys and one of values, F16, in the order that Attention (ops/ops.h)
// reads: keys in groups of 16 positions, values position by position. Memory grows by doubling up
// to the context, so that a short conversation on a long-context model stays small. Held by
// tests/local_engine/model/kv_cache_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_KV_CACHE_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_KV_CACHE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "local_engine/base/aligned_buffer.h"

namespace nearfar {

// One caller at a time.
class KvCache {
 public:
  static constexpr int kFirstPositions = 256;  // allocated at first use

  // Allocates nothing yet. kv_width: kv_heads * head_width.
  KvCache(int layers, int kv_width, int context);

  int length() const { return length_; }        // positions that are valid in every layer
  int context() const { return context_; }      // most positions there can be
  int capacity() const { return capacity_; }    // positions that memory is held for
  int64_t bytes() const;                        // held memory
  int64_t stride() const { return kv_width_; }  // halves between positions

  // Makes room for positions [0, positions). Errors: ResourceExhausted (beyond the context, or no
  // memory); the content stays as it was.
  absl::Status Reserve(int positions);

  // Positions below `length` stay, the rest is forgotten; memory is kept. length <= length().
  void Truncate(int length);

  // `positions` more have been written in every layer.
  void Advance(int positions);

  // Forgets all and frees the memory.
  void Release();

  // Where position 0 begins.
  uint16_t* keys(int layer) { return Block(layer, 0).as<uint16_t>(); }
  uint16_t* values(int layer) { return Block(layer, 1).as<uint16_t>(); }

 private:
  AlignedBuffer& Block(int layer, int which) { return blocks_[2 * layer + which]; }

  const int kv_width_;
  const int context_;
  int capacity_ = 0;
  int length_ = 0;
  std::vector<AlignedBuffer> blocks_;  // keys and values of layer 0, of layer 1, ...
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_KV_CACHE_H_
