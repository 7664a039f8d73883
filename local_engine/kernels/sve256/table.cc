// SVE with vectors of 256 bits: SDOT for a few tokens and SMMLA for more. Held by
// tests/local_engine/kernels/.

#include "local_engine/kernels/sve256/simd.h"

#include "local_engine/kernels/common/make_table-inl.h"
#include "local_engine/kernels/common/pair_panel-inl.h"
#include "local_engine/kernels/tables.h"

namespace nearfar {

constexpr KernelTable kSve256Kernels = kernels::MakeTable<kernels::PairPanel>("sve256");

}  // namespace nearfar
