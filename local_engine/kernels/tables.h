// The tables that are compiled in; which of them exist depends on the target's architecture. Use
// dispatch.h to choose one: calling a table whose instructions the CPU lacks ends the process.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_TABLES_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_TABLES_H_

#include "local_engine/kernels/kernel_table.h"

namespace nearfar {

extern const KernelTable kReferenceKernels;
extern const KernelTable kScalarKernels;
#if defined(__x86_64__)
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvxVnniKernels;
extern const KernelTable kAvx512VnniKernels;
#elif defined(__aarch64__)
extern const KernelTable kNeonKernels;
extern const KernelTable kNeonDotprodKernels;
extern const KernelTable kNeonI8mmKernels;
extern const KernelTable kSve256Kernels;
#endif

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_TABLES_H_
