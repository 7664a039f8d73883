// See catalogue.h. A new model is one entry here and one in scripts/models.json.

#include "router/catalogue.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace nearfar {
namespace {

namespace fs = std::filesystem;

const std::vector<CatalogueModel>& Models() {
  static const auto* const models = new std::vector<CatalogueModel>{
      {"smollm2-135m-instruct-q4_1",
       "smollm2-135m-instruct-q4_1.gguf",
       98362432,
       "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
       "Apache-2.0",
       {"smollm2-135m"},
       true},
      {"qwen2.5-coder-0.5b-instruct-q4_k_m",
       "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
       491400064,
       "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
       "Apache-2.0",
       {"qwen2.5-coder-0.5b"},
       true},
      {"qwen2.5-coder-1.5b-instruct-q4_k_m",
       "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
       1117320768,
       "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
       "Apache-2.0",
       {"qwen2.5-coder-1.5b"},
       true},
      {"gemma-3-270m-q4_k_m",
       "gemma-3-270m-q4_k_m.gguf",
       253113024,
       "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
       "Gemma Terms of Use",
       {"gemma-3-270m"},
       false},
  };
  return *models;
}

// The environment is read before threads start and never written.
std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool IsFile(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

}  // namespace

absl::Span<const CatalogueModel> AllModels() { return Models(); }

const CatalogueModel* FindModel(std::string_view name) {
  for (const CatalogueModel& model : Models()) {
    if (name == model.name || name == model.file) return &model;
    for (const char* alias : model.aliases) {
      if (name == alias) return &model;
    }
  }
  return nullptr;
}

std::string ModelsFolder() {
  const std::string configured = Environment("NEARFAR_MODELS");
  if (!configured.empty()) return configured;
  return absl::StrCat(Environment("HOME"), "/.cache/nearfar/models");
}

absl::StatusOr<std::string> FindModelFile(std::string_view name_or_path) {
  const std::string given(name_or_path);
  if (given.empty()) return absl::NotFoundError("no model is named");
  const fs::path folder = ModelsFolder();
  if (const CatalogueModel* model = FindModel(given)) {
    const fs::path path = folder / model->file;
    if (IsFile(path)) return path.string();
    return absl::NotFoundError(absl::StrCat(path.string(), ": no such file (scripts/models.sh ",
                                            model->name, " fetches it)"));
  }
  if (IsFile(given)) return given;
  if (!absl::StrContains(given, '/')) {
    for (const char* suffix : {"", ".gguf"}) {
      const fs::path path = folder / absl::StrCat(given, suffix);
      if (IsFile(path)) return path.string();
    }
  }
  std::error_code error;
  if (fs::is_directory(given, error)) {
    return absl::NotFoundError(absl::StrCat(given, ": is a folder (name a .gguf file in it)"));
  }
  return absl::NotFoundError(
      absl::StrCat(given, ": neither a known model nor a file (nearfar models list shows both)"));
}

}  // namespace nearfar
