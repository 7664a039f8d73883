// Chooses the kernel table for this CPU, once, from a list in order of speed.
// Held by tests/local_engine/kernels/dispatch_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_DISPATCH_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_DISPATCH_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "local_engine/kernels/cpu_features.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar {

struct KernelChoice {
  const KernelTable* table;
  // Features that the table's instructions need, as CpuFeatures names them ("avx2 fma f16c").
  const char* needs;
  bool (*supported)(const CpuFeatures& cpu);
  // False for the plain reference, which is used only where it is asked for by name.
  bool automatic;
};

// Every table compiled into this binary, the fastest first. The last automatic one runs anywhere.
absl::Span<const KernelChoice> AllKernels();

// `name` chooses a table by its name; empty means the environment's NEARFAR_KERNELS, and where that
// is unset or empty too, the first table of the list that this CPU supports. Thread-safe.
// Errors: InvalidArgument for a name that is not in the list, FailedPrecondition for one whose
// instructions this CPU or its operating system lacks. Both messages name what would work.
absl::StatusOr<const KernelTable*> SelectKernels(std::string_view name);

// The same for a CPU that is described, not asked, and without the environment.
absl::StatusOr<const KernelTable*> SelectKernels(std::string_view name, const CpuFeatures& cpu);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_DISPATCH_H_
