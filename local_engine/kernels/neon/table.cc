// NEON as every 64-bit Arm has it. Held by tests/local_engine/kernels/.

#include "local_engine/kernels/neon/simd.h"

#include "local_engine/kernels/common/make_table-inl.h"
#include "local_engine/kernels/tables.h"

namespace nearfar {

constexpr KernelTable kNeonKernels = kernels::MakeTable("neon");

}  // namespace nearfar
