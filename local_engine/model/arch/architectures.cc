#include "local_engine/model/arch/architectures.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace nearfar {

absl::Span<const Architecture* const> AllArchitectures() {
  static constexpr const Architecture* kAll[] = {
      &kLlamaArchitecture,
      &kQwen2Architecture,
  };
  return kAll;
}

absl::StatusOr<const Architecture*> FindArchitecture(std::string_view name) {
  for (const Architecture* architecture : AllArchitectures()) {
    if (name == architecture->name) return architecture;
  }
  const std::string known = absl::StrJoin(
      AllArchitectures(), ", ",
      [](std::string* out, const Architecture* each) { absl::StrAppend(out, each->name); });
  return absl::UnimplementedError(
      absl::StrCat("general.architecture: \"", std::string(name).substr(0, 64),
                   "\" is not a model family known here (known: ", known, ")"));
}

}  // namespace nearfar
