// F16: IEEE 754 binary16, ties to even. Held by tests/local_engine/quant/formats_test.cc.

#include "local_engine/quant/block_format.h"
#include "local_engine/quant/blocks.h"

namespace nearfar {
namespace {

void EncodeF16(const float* x, Half* block) { block->Set(*x); }
void DecodeF16(const Half& block, float* x) { *x = block.Get(); }

}  // namespace

extern const QuantFormat kF16Format =
    BlockFormat<Half, 1, EncodeF16, DecodeF16>::Make(DType::kF16, "F16");

}  // namespace nearfar
