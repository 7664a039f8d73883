// See model_files.h.

#include "router/cli/model_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "local_engine/base/sha256.h"

namespace nearfar::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlock = size_t{4} << 20;

void FillSize(ModelFile* file) {
  std::error_code error;
  const auto bytes = fs::file_size(file->path, error);
  file->here = !error;
  file->bytes = error ? 0 : static_cast<int64_t>(bytes);
}

ModelFile OfCatalogue(const CatalogueModel& model) {
  ModelFile file;
  file.name = model.name;
  file.path = (fs::path(ModelsFolder()) / model.file).string();
  file.known = &model;
  FillSize(&file);
  return file;
}

ModelFile OfPath(const fs::path& path) {
  ModelFile file;
  file.name = path.stem().string();
  file.path = path.string();
  file.known = FindModel(path.filename().string());
  FillSize(&file);
  return file;
}

absl::StatusOr<std::string> HashFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return absl::NotFoundError(absl::StrCat(path, ": the file cannot be read"));
  Sha256 hash;
  std::vector<char> block(kBlock);
  while (stream) {
    stream.read(block.data(), static_cast<std::streamsize>(block.size()));
    hash.Update(std::string_view(block.data(), static_cast<size_t>(stream.gcount())));
  }
  if (stream.bad()) return absl::DataLossError(absl::StrCat(path, ": reading failed"));
  return hash.FinishHex();
}

}  // namespace

std::vector<ModelFile> ListModelFiles() {
  std::vector<ModelFile> files;
  for (const CatalogueModel& model : AllModels()) files.push_back(OfCatalogue(model));
  std::vector<ModelFile> others;
  std::error_code error;
  // Not a range-for, whose steps throw.
  for (fs::directory_iterator entry(ModelsFolder(), error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::path& path = entry->path();
    if (path.extension() != ".gguf" || FindModel(path.filename().string()) != nullptr) continue;
    others.push_back(OfPath(path));
  }
  std::sort(others.begin(), others.end(),
            [](const ModelFile& a, const ModelFile& b) { return a.name < b.name; });
  files.insert(files.end(), others.begin(), others.end());
  return files;
}

absl::StatusOr<ModelFile> FindListed(const std::string& name_or_path) {
  if (const CatalogueModel* model = FindModel(name_or_path)) return OfCatalogue(*model);
  const absl::StatusOr<std::string> path = FindModelFile(name_or_path);
  if (!path.ok()) return path.status();
  return OfPath(*path);
}

absl::Status VerifyModelFile(const ModelFile& file) {
  if (!file.here) {
    return absl::NotFoundError(
        absl::StrCat("not here (scripts/models.sh ", file.name, " fetches it)"));
  }
  if (file.known == nullptr) {
    return absl::FailedPreconditionError("not in the catalogue: nothing to compare with");
  }
  const char* advice = "(delete it, then run scripts/models.sh)";
  if (file.bytes != file.known->bytes) {
    return absl::DataLossError(
        absl::StrCat(file.bytes, " bytes instead of ", file.known->bytes, " ", advice));
  }
  const absl::StatusOr<std::string> hash = HashFile(file.path);
  if (!hash.ok()) return hash.status();
  if (*hash != file.known->sha256) {
    return absl::DataLossError(absl::StrCat("SHA-256 ", hash->substr(0, 12), "... instead of ",
                                            std::string(file.known->sha256, 12), "... ", advice));
  }
  return absl::OkStatus();
}

std::string MebibyteText(int64_t bytes) { return absl::StrCat(bytes >> 20, " MiB"); }

}  // namespace nearfar::cli
