// The hyper-parameters of a model, read from GGUF metadata, every one checked.
// Held by tests/local_engine/model/config_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_CONFIG_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_CONFIG_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "local_engine/gguf/gguf_file.h"
#include "local_engine/model/architecture.h"

namespace nearfar {

// Immutable. After ReadModelConfig the numbers fit each other: counts and widths are at least 1,
// kv_heads divides heads, head_width and rope_width are even, and no product of two overflows.
struct ModelConfig {
  const Architecture* architecture = nullptr;
  int layers = 0;
  int width = 0;       // of the residual stream
  int ffn_width = 0;   // of the gated feed-forward layer
  int heads = 0;       // query heads
  int kv_heads = 0;    // key and value heads
  int head_width = 0;  // of a query, key or value head
  int rope_width = 0;  // rotated part of a head
  int trained_context = 0;
  float norm_epsilon = 0;
  float rope_base = 0;
  float rope_scale = 1;  // positions are divided by it (linear rope scaling)

  int query_width() const { return heads * head_width; }
  int kv_width() const { return kv_heads * head_width; }
};

// Errors: InvalidArgument (a key is missing, of a wrong type or outside its range: the message
// names it), Unimplemented (a family, a rope scaling or a mixture of experts not computed here).
absl::StatusOr<ModelConfig> ReadModelConfig(const GgufFile& file);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_CONFIG_H_
