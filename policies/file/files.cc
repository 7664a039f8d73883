#include "policies/file/files.h"

#include <fstream>
#include <ios>

#include "absl/strings/str_cat.h"

namespace nearfar::policy_file {

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t limit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be opened (does it exist?)"));
  std::string text(limit + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.empty() && !file.eof()) {
    return absl::NotFoundError(absl::StrCat(path, ": is not a file that can be read"));
  }
  return text;
}

bool FileExists(const std::string& path) { return std::ifstream(path).good(); }

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

bool IsAbsolute(const std::string& path) { return !path.empty() && path[0] == '/'; }

std::string Beside(const std::string& folder, const std::string& path) {
  if (path.empty() || folder.empty() || IsAbsolute(path)) return path;
  return absl::StrCat(folder, "/", path);
}

}  // namespace nearfar::policy_file
