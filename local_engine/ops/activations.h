// The input of matrix products: some tokens' activations, quantized once for all their consumers.
// Held by tests/local_engine/ops/activations_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_OPS_ACTIVATIONS_H_
#define NEARFAR_LOCAL_ENGINE_OPS_ACTIVATIONS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "local_engine/base/aligned_buffer.h"
#include "local_engine/kernels/kernel_table.h"
#include "local_engine/quant/dtype.h"

namespace nearfar {

// What an Activations keeps of each row: int8 blocks for quantized weights, f32 for float weights.
struct ActivationForms {
  bool quantized = true;
  bool floats = true;
};

// The forms that products with weights of these types read.
ActivationForms FormsFor(const KernelTable& kernels, absl::Span<const DType> weights);

// Memory for one shape after the other. Movable; one caller at a time. Filled by Quantize,
// AddRmsNormQuantize and SiluMulQuantize of ops.h.
class Activations {
 public:
  // Room for any shape up to [tokens, width]. Keeping both forms (the default of ActivationForms)
  // is always right; FormsFor saves the memory of an unused one. Errors: ResourceExhausted.
  static absl::StatusOr<Activations> Create(ActivationForms forms, int64_t tokens, int64_t width);
  // Bytes that Create allocates for it.
  static int64_t BytesOf(ActivationForms forms, int64_t tokens, int64_t width);

  // No room.
  Activations() = default;

  // From now on the shape is [tokens, width], for which there is room; what was in it is lost.
  void Reshape(int64_t tokens, int64_t width);

  int64_t tokens() const { return tokens_; }
  int64_t width() const { return width_; }
  int64_t blocks_per_token() const { return ActivationBlocks(width_); }
  ActivationForms forms() const { return forms_; }
  int64_t bytes() const;  // held memory

  // Places of one token; nullptr where the form is not kept.
  int8_t* values(int64_t token);
  ActivationBlock* blocks(int64_t token);
  float* floats(int64_t token);

  // Valid until the next Reshape.
  ActivationView view() const;

 private:
  ActivationForms forms_;
  int64_t tokens_ = 0;
  int64_t width_ = 0;
  AlignedBuffer values_;
  AlignedBuffer blocks_;
  AlignedBuffer floats_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_OPS_ACTIVATIONS_H_
