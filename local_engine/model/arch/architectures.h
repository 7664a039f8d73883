// The list of model families. Held by tests/local_engine/model/architectures_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_MODEL_ARCH_ARCHITECTURES_H_
#define NEARFAR_LOCAL_ENGINE_MODEL_ARCH_ARCHITECTURES_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "local_engine/model/architecture.h"

namespace nearfar {

extern const Architecture kLlamaArchitecture;
extern const Architecture kQwen2Architecture;

absl::Span<const Architecture* const> AllArchitectures();

// Unimplemented names the family and lists those that are known.
absl::StatusOr<const Architecture*> FindArchitecture(std::string_view name);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_MODEL_ARCH_ARCHITECTURES_H_
