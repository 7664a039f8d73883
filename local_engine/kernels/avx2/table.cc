// AVX2, FMA, F16C: x86 since 2013. Held by tests/local_engine/kernels/.

#include "local_engine/kernels/avx2/simd.h"

#include "local_engine/kernels/common/make_table-inl.h"
#include "local_engine/kernels/tables.h"

namespace nearfar {

constexpr KernelTable kAvx2Kernels = kernels::MakeTable("avx2");

}  // namespace nearfar
