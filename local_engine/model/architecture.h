// What sets one model family apart from another, as data over the one forward pass of
// transformer.cc. A new family is one file in arch/ and one line in arch/architectures.cc.
// Held by tests/local_engine/model/architectures_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_ARCHITECTURE_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_ARCHITECTURE_H_

namespace nearfar {

// Which two numbers of a head are rotated together.
enum class RopePairing {
  kInterleaved,  // (2i, 2i + 1)
  kHalfSplit,    // (i, i + rope_width / 2)
};

enum class Presence {
  kAbsent,    // never read
  kOptional,  // used where the file has it
  kRequired,  // its absence is an error
};

// Tensor names of a layer behind "blk.<n>.".
struct LayerTensorNames {
  const char* attention_norm = "attn_norm.weight";
  const char* query = "attn_q.weight";
  const char* key = "attn_k.weight";
  const char* value = "attn_v.weight";
  const char* query_bias = "attn_q.bias";
  const char* key_bias = "attn_k.bias";
  const char* value_bias = "attn_v.bias";
  const char* attention_output = "attn_output.weight";
  const char* ffn_norm = "ffn_norm.weight";
  const char* gate = "ffn_gate.weight";
  const char* up = "ffn_up.weight";
  const char* down = "ffn_down.weight";
};

struct ModelTensorNames {
  const char* embedding = "token_embd.weight";
  const char* output_norm = "output_norm.weight";
  const char* output = "output.weight";  // where absent, the embedding serves as output
  const char* rope_factors = "rope_freqs.weight";
};

// Metadata keys behind "<architecture>.".
struct ConfigKeys {
  const char* layers = "block_count";
  const char* trained_context = "context_length";
  const char* width = "embedding_length";
  const char* ffn_width = "feed_forward_length";
  const char* heads = "attention.head_count";
  const char* kv_heads = "attention.head_count_kv";
  const char* key_width = "attention.key_length";
  const char* value_width = "attention.value_length";
  const char* norm_epsilon = "attention.layer_norm_rms_epsilon";
  const char* rope_width = "rope.dimension_count";
  const char* rope_base = "rope.freq_base";
  const char* rope_scaling = "rope.scaling.type";
  const char* rope_scaling_factor = "rope.scaling.factor";
  const char* rope_scale_linear = "rope.scale_linear";  // the factor in files of 2023
  const char* rope_attention_factor = "rope.scaling.attn_factor";
  const char* experts = "expert_count";
  const char* sliding_window = "attention.sliding_window";
};

// Immutable.
struct Architecture {
  const char* name;  // general.architecture
  RopePairing rope_pairing;
  Presence qkv_bias;
  Presence rope_factors;  // per-frequency divisors, as Llama 3.1 files carry them
  ConfigKeys keys = {};
  ModelTensorNames tensors = {};
  LayerTensorNames layer_tensors = {};
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_ARCHITECTURE_H_
