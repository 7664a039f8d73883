#include "local_engine/ops/activations.h"

#include <cassert>
#include <cstddef>

namespace nearfar {
namespace {

struct Sizes {  // in bytes
  size_t values, blocks, floats;
};

Sizes SizesOf(const ActivationForms& forms, int64_t tokens, int64_t width) {
  const int64_t blocks = tokens * ActivationBlocks(width);
  Sizes sizes = {};
  if (forms.quantized) {
    sizes.values = static_cast<size_t>(blocks) * kActivationBlock;
    sizes.blocks = static_cast<size_t>(blocks) * sizeof(ActivationBlock);
  }
  if (forms.floats) sizes.floats = static_cast<size_t>(tokens * width) * sizeof(float);
  return sizes;
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

absl::StatusOr<Activations> Activations::Create(ActivationForms forms, int64_t tokens,
                                                int64_t width) {
  Activations x;
  x.forms_ = forms;
  const Sizes sizes = SizesOf(forms, tokens, width);
  absl::Status status = AlignedBuffer::CreateInto(sizes.values, &x.values_);
  status.Update(AlignedBuffer::CreateInto(sizes.blocks, &x.blocks_));
  status.Update(AlignedBuffer::CreateInto(sizes.floats, &x.floats_));
  if (!status.ok()) return status;
  return x;
}

int64_t Activations::BytesOf(ActivationForms forms, int64_t tokens, int64_t width) {
  const Sizes sizes = SizesOf(forms, tokens, width);
  return static_cast<int64_t>(sizes.values + sizes.blocks + sizes.floats);
}

int64_t Activations::bytes() const {
  return static_cast<int64_t>(values_.size() + blocks_.size() + floats_.size());
}

void Activations::Reshape(int64_t tokens, int64_t width) {
  tokens_ = tokens;
  width_ = width;
  [[maybe_unused]] const Sizes sizes = SizesOf(forms_, tokens, width);
  assert(sizes.values <= values_.size() && sizes.blocks <= blocks_.size() &&
         sizes.floats <= floats_.size());
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
