// The model files that nearfar knows by name, and where model files lie on this machine.
// Immutable facts, thread-safe. scripts/models.json tells where the same files are fetched from;
// tests/router/cli/models_test.cc holds that both agree.

#ifndef NEARFAR_ROUTER_CATALOGUE_H_
#define NEARFAR_ROUTER_CATALOGUE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace nearfar {

struct CatalogueModel {
  const char* name;  // "qwen2.5-coder-0.5b-instruct-q4_k_m"
  const char* file;  // in the models folder
  int64_t bytes;
  const char* sha256;  // of the whole file, lower-case hex
  const char* licence;
  std::vector<const char*> aliases;  // "qwen2.5-coder-0.5b"
  bool by_default;                   // scripts/models.sh fetches it without being asked by name
};

absl::Span<const CatalogueModel> AllModels();

// By name, alias or file name; nullptr if not known.
const CatalogueModel* FindModel(std::string_view name);

// ${NEARFAR_MODELS:-~/.cache/nearfar/models}.
std::string ModelsFolder();

// The file that a name of the catalogue, a file name in the models folder (with or without ".gguf")
// or a path stands for. Errors: NotFound, saying what to do.
absl::StatusOr<std::string> FindModelFile(std::string_view name_or_path);

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_CATALOGUE_H_
