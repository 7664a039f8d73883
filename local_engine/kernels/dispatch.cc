#include "local_engine/kernels/dispatch.h"

#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "local_engine/kernels/tables.h"

namespace nearfar {
namespace {

bool Anywhere(const CpuFeatures&) { return true; }

// The fastest first.
constexpr KernelChoice kChoices[] = {
#if defined(__x86_64__)
    {&kAvx512VnniKernels, "avx2 fma f16c avx512f avx512bw avx512dq avx512vl avx512_vnni",
     [](const CpuFeatures& cpu) {
       return cpu.avx2 && cpu.fma && cpu.f16c && cpu.avx512f && cpu.avx512bw && cpu.avx512dq &&
              cpu.avx512vl && cpu.avx512_vnni;
     },
     true},
    {&kAvxVnniKernels, "avx2 fma f16c avx_vnni",
     [](const CpuFeatures& cpu) { return cpu.avx2 && cpu.fma && cpu.f16c && cpu.avx_vnni; }, true},
    {&kAvx2Kernels, "avx2 fma f16c",
     [](const CpuFeatures& cpu) { return cpu.avx2 && cpu.fma && cpu.f16c; }, true},
#elif defined(__aarch64__)
    {&kSve256Kernels, "sve sve256 sve_i8mm",
     [](const CpuFeatures& cpu) { return cpu.sve && cpu.sve256 && cpu.sve_i8mm; }, true},
    {&kNeonI8mmKernels, "neon dotprod i8mm",
     [](const CpuFeatures& cpu) { return cpu.neon && cpu.dotprod && cpu.i8mm; }, true},
    {&kNeonDotprodKernels, "neon dotprod",
     [](const CpuFeatures& cpu) { return cpu.neon && cpu.dotprod; }, true},
    {&kNeonKernels, "neon", [](const CpuFeatures& cpu) { return cpu.neon; }, true},
#endif
    {&kScalarKernels, "", Anywhere, true},
    {&kReferenceKernels, "", Anywhere, false},
};

std::string NamesWhere(const CpuFeatures* cpu) {
  std::string names;
  for (const KernelChoice& choice : kChoices) {
    if (cpu != nullptr && !choice.supported(*cpu)) continue;
    absl::StrAppend(&names, names.empty() ? "" : ", ", choice.table->name);
  }
  return names;
}

absl::StatusOr<const KernelTable*> SelectByName(std::string_view name, const CpuFeatures& cpu,
                                                const char* source) {
  for (const KernelChoice& choice : kChoices) {
    if (name != choice.table->name) continue;
    if (choice.supported(cpu)) return choice.table;
    return absl::FailedPreconditionError(absl::StrCat(
        source, ": kernels \"", std::string(name), "\" need ", choice.needs, ", but this CPU has ",
        Describe(cpu).empty() ? "none of the optional features" : Describe(cpu), "; use one of ",
        NamesWhere(&cpu), ", or leave the choice empty"));
  }
  return absl::InvalidArgumentError(absl::StrCat(source, ": no kernels are named \"",
                                                 std::string(name), "\"; this build knows ",
                                                 NamesWhere(nullptr)));
}

const KernelTable* SelectFastest(const CpuFeatures& cpu) {
  for (const KernelChoice& choice : kChoices) {
    if (choice.automatic && choice.supported(cpu)) return choice.table;
  }
  return &kScalarKernels;
}

}  // namespace

absl::Span<const KernelChoice> AllKernels() { return kChoices; }

absl::StatusOr<const KernelTable*> SelectKernels(std::string_view name) {
  if (!name.empty()) return SelectByName(name, ThisCpu(), "kernels option");
  const char* chosen = std::getenv("NEARFAR_KERNELS");
  if (chosen != nullptr && chosen[0] != '\0') {
    return SelectByName(chosen, ThisCpu(), "environment variable NEARFAR_KERNELS");
  }
  return SelectFastest(ThisCpu());
}

absl::StatusOr<const KernelTable*> SelectKernels(std::string_view name, const CpuFeatures& cpu) {
  if (name.empty()) return SelectFastest(cpu);
  return SelectByName(name, cpu, "kernels option");
}

}  // namespace nearfar
