// Fills a KernelTable from the algorithms of this folder; included by each <isa>/table.cc after its
// simd.h.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MAKE_TABLE_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MAKE_TABLE_INL_H_

#include "local_engine/kernels/common/attention-inl.h"
#include "local_engine/kernels/common/limits-inl.h"
#include "local_engine/kernels/common/matmul_floats-inl.h"
#include "local_engine/kernels/common/matmul_packed-inl.h"
#include "local_engine/kernels/common/rope-inl.h"
#include "local_engine/kernels/common/rows-inl.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar::kernels {
namespace {

// Panel: what several tokens are multiplied by (matmul_packed-inl.h).
template <template <typename> class Panel = RowPanel>
constexpr KernelTable MakeTable(const char* name) {
  return KernelTable{
      .name = name,
      .formats =
          {
              {DType::kF32, ActivationForm::kFloat, MatMulFloats<FromF32>},
              {DType::kF16, ActivationForm::kFloat, MatMulFloats<FromF16>},
              {DType::kBF16, ActivationForm::kFloat, MatMulFloats<FromBF16>},
              {DType::kQ4_0, ActivationForm::kQuantized, MatMulPacked<Q4_0, Panel>},
              {DType::kQ4_1, ActivationForm::kQuantized, MatMulPacked<Q4_1, Panel>},
              {DType::kQ5_0, ActivationForm::kQuantized, MatMulPacked<Q5_0, Panel>},
              {DType::kQ5_1, ActivationForm::kQuantized, MatMulPacked<Q5_1, Panel>},
              {DType::kQ8_0, ActivationForm::kQuantized, MatMulPacked<Q8_0, Panel>},
              {DType::kQ4_K, ActivationForm::kQuantized, MatMulPacked<Q4_K, Panel>},
              {DType::kQ5_K, ActivationForm::kQuantized, MatMulPacked<Q5_K, Panel>},
              {DType::kQ6_K, ActivationForm::kQuantized, MatMulPacked<Q6_K, Panel>},
          },
      .matmul_scratch_bytes = MatMulScratchBytes<Panel>,
      .quantize = QuantizeRow,
      .rms_norm = RmsNormRow,
      .silu_mul = SiluMulRow,
      .add = AddRow,
      .rope = RopeToken,
      .attention_state_floats = AttentionStateFloats,
      .attention_scratch_bytes = AttentionScratchBytes,
      .kv = {{DType::kF16, StoreKvHalf, AttentionPart<HalfPart>},
             {DType::kQ8_0, StoreKvBytes, AttentionPart<BytePart>}},
      .attention_merge = AttentionMerge,
      .attention_finish = AttentionFinish,

      .dot_round_ops = kDotRoundOps,
      .dot_rounds = DotRounds<typename Panel<Q4_0>::PeakDot, Panel<Q4_0>::kPeakSteps>,
      .sum_stream = SumStream,
  };
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MAKE_TABLE_INL_H_
