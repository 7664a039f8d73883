// The model files of this machine: those that the catalogue knows and those that merely lie there.

#ifndef NEARFAR_ROUTER_CLI_MODEL_FILES_H_
#define NEARFAR_ROUTER_CLI_MODEL_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "router/catalogue.h"

namespace nearfar::cli {

struct ModelFile {
  std::string name;
  std::string path;
  const CatalogueModel* known = nullptr;  // nullptr = not in the catalogue
  bool here = false;
  int64_t bytes = 0;  // 0 where not here
};

// The catalogue's, in its order, then other .gguf files of the models folder by name.
std::vector<ModelFile> ListModelFiles();

// One file by name, alias or path; it need not be here if the catalogue knows it.
absl::StatusOr<ModelFile> FindListed(const std::string& name_or_path);

// Reads the whole file against the catalogue's size and SHA-256. Errors: NotFound, DataLoss (says
// what differs), FailedPrecondition (the catalogue does not know it: nothing to compare with).
absl::Status VerifyModelFile(const ModelFile& file);

// "1065 MiB".
std::string MebibyteText(int64_t bytes);

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_MODEL_FILES_H_
