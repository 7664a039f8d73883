// NEON with SDOT for a few tokens and SMMLA for more. Held by tests/local_engine/kernels/.

#include "local_engine/kernels/neon_i8mm/simd.h"

#include "local_engine/kernels/common/make_table-inl.h"
#include "local_engine/kernels/common/pair_panel-inl.h"
#include "local_engine/kernels/tables.h"

namespace nearfar {

constexpr KernelTable kNeonI8mmKernels = kernels::MakeTable<kernels::PairPanel>("neon_i8mm");

}  // namespace nearfar
