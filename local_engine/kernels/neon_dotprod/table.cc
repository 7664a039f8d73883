// See simd.h. Held by tests/local_engine/kernels/.

#include "local_engine/kernels/neon_dotprod/simd.h"

#include "local_engine/kernels/common/make_table-inl.h"
#include "local_engine/kernels/tables.h"

namespace nearfar {

constexpr KernelTable kNeonDotprodKernels = kernels::MakeTable("neon_dotprod");

}  // namespace nearfar
