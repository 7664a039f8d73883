// The table that runs anywhere. Held by tests/local_engine/kernels/.

#include "local_engine/kernels/scalar/simd.h"

#include "local_engine/kernels/common/make_table-inl.h"
#include "local_engine/kernels/tables.h"

namespace nearfar {

constexpr KernelTable kScalarKernels = kernels::MakeTable("scalar");

}  // namespace nearfar
