#include "local_engine/ops/activations.h"

#include <cassert>
#include <cstddef>

namespace nearfar {
namespace {

void Grow(AlignedBuffer* buffer, size_t bytes) {
  if (buffer->size() < bytes) *buffer = AlignedBuffer(bytes);
}

}  // namespace

ActivationForms FormsFor(const KernelTable& kernels, absl::Span<const DType> weights) {
  ActivationForms forms{.quantized = false, .floats = false};
  for (const DType dtype : weights) {
    const FormatKernel* kernel = FindFormatKernel(kernels, dtype);
    assert(kernel != nullptr);
    (kernel->form == ActivationForm::kQuantized ? forms.quantized : forms.floats) = true;
  }
  return forms;
}

void Activations::Reshape(int64_t tokens, int64_t width) {
  tokens_ = tokens;
  width_ = width;
  const size_t count = static_cast<size_t>(tokens * blocks_per_token());
  if (forms_.quantized) {
    Grow(&values_, count * kActivationBlock);
    Grow(&blocks_, count * sizeof(ActivationBlock));
  }
  if (forms_.floats) Grow(&floats_, static_cast<size_t>(tokens * width) * sizeof(float));
}

int8_t* Activations::values(int64_t token) {
  if (!forms_.quantized) return nullptr;
  return values_.as<int8_t>() + token * blocks_per_token() * kActivationBlock;
}

ActivationBlock* Activations::blocks(int64_t token) {
  if (!forms_.quantized) return nullptr;
  return blocks_.as<ActivationBlock>() + token * blocks_per_token();
}

float* Activations::floats(int64_t token) {
  return forms_.floats ? floats_.as<float>() + token * width_ : nullptr;
}

ActivationView Activations::view() const {
  return ActivationView{
      .values = forms_.quantized ? values_.as<int8_t>() : nullptr,
      .blocks = forms_.quantized ? blocks_.as<ActivationBlock>() : nullptr,
      .floats = forms_.floats ? floats_.as<float>() : nullptr,
      .tokens = tokens_,
      .width = width_,
      .blocks_per_token = blocks_per_token(),
  };
}

}  // namespace nearfar
