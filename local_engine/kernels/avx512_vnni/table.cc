// See simd.h. Held by tests/local_engine/kernels/.

#include "local_engine/kernels/avx512_vnni/simd.h"

#include "local_engine/kernels/common/make_table-inl.h"
#include "local_engine/kernels/tables.h"

namespace nearfar {

constexpr KernelTable kAvx512VnniKernels = kernels::MakeTable("avx512_vnni");

}  // namespace nearfar
