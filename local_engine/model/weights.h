// The tensors of a model: found by the names that its family gives, their shapes and types checked
// against the config. Matrices are where the file is mapped; vectors (norms, biases) are few and
// are decoded into memory of their own, whatever their type. Held by
// tests/local_engine/model/weights_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_WEIGHTS_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_WEIGHTS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "local_engine/gguf/gguf_file.h"
#include "local_engine/model/config.h"
#include "local_engine/ops/tensor.h"

namespace nearfar {

// One layer. Vectors that the family or the file does not have are empty.
struct LayerWeights {
  std::vector<float> attention_norm;  // [width]
  Matrix query;                       // [query_width, width]
  Matrix key;                         // [kv_width, width]
  Matrix value;                       // [kv_width, width]
  std::vector<float> query_bias;      // [query_width]
  std::vector<float> key_bias;        // [kv_width]
  std::vector<float> value_bias;      // [kv_width]
  Matrix attention_output;            // [width, query_width]
  std::vector<float> ffn_norm;        // [width]
  Matrix gate;                        // [ffn_width, width]
  Matrix up;                          // [ffn_width, width]
  Matrix down;                        // [width, ffn_width]
};

// Pointers to the matrices of a layer, which may be const.
template <typename Layer>
auto MatricesOf(Layer& layer) {
  return std::array{&layer.query, &layer.key, &layer.value, &layer.attention_output,
                    &layer.gate,  &layer.up,  &layer.down};
}

// Immutable; borrows from the file it was read from.
struct ModelWeights {
  Matrix embedding;  // [vocabulary, width]
  std::vector<LayerWeights> layers;
  std::vector<float> output_norm;   // [width]
  Matrix output;                    // [vocabulary, width]; the embedding itself where tied
  std::vector<float> rope_factors;  // [rope_width / 2] divisors of the frequencies, or empty

  int vocabulary() const { return static_cast<int>(output.rows); }
};

// Errors: InvalidArgument (a tensor is missing or has another shape than the config says: the
// message names it and both shapes), Unimplemented (the file has a tensor that the family is not
// computed with here, such as a bias: the message names it).
absl::StatusOr<ModelWeights> FindWeights(const GgufFile& file, const ModelConfig& config);

// What the matrices cost each token that is computed: all are read but an embedding that is not the
// output, of which a row is.
struct TokenCost {
  int64_t bytes = 0;
  int64_t layer_elements = 0;   // each multiplied once
  int64_t output_elements = 0;  // the same, where logits are wanted
};
TokenCost CostOfToken(const ModelWeights& weights);

// The type that most elements of the file's matrices have.
DType MainDType(const GgufFile& file);

// Number of elements of all tensors.
int64_t CountParameters(const GgufFile& file);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_WEIGHTS_H_
