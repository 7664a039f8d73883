// See paths.h.

#include "router/cli/paths.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace nearfar::cli {
namespace {

namespace fs = std::filesystem;

// The environment is read before threads start and never written.
std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool IsFile(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool IsFolder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

// <prefix>/share/nearfar of <prefix>/bin/nearfar.
fs::path InstalledShare() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return {};
  return program.parent_path().parent_path() / "share" / "nearfar";
}

constexpr const char* kAnotherState = "(NEARFAR_STATE chooses another folder)";

// What access(2) says of the rights that this process acts with.
bool Allowed(const std::string& path, int rights) {
  return faccessat(AT_FDCWD, path.c_str(), rights, AT_EACCESS) == 0 || errno == ENOENT;
}

}  // namespace

std::string StateFolder() {
  const std::string configured = Environment("NEARFAR_STATE");
  if (!configured.empty()) return configured;
  return absl::StrCat(Environment("HOME"), "/.local/state/nearfar");
}

std::string LedgerPath() { return absl::StrCat(StateFolder(), "/ledger.db"); }
std::string DecisionLogPath() { return absl::StrCat(StateFolder(), "/decisions.db"); }
std::string TaintPath() { return absl::StrCat(StateFolder(), "/taint.db"); }

absl::Status CheckStateFolder() {
  std::error_code error;
  fs::path folder = fs::absolute(StateFolder(), error);
  while (fs::status(folder, error).type() == fs::file_type::not_found &&
         folder.has_relative_path()) {
    folder = folder.parent_path();
  }
  if (!error && !fs::is_directory(folder, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder.string(), ": is not a folder ", kAnotherState));
  }
  if (!Allowed(folder.string(), R_OK | W_OK | X_OK)) {
    return absl::PermissionDeniedError(
        absl::StrCat(folder.string(), ": this user may not write there ", kAnotherState));
  }
  if (!Allowed(LedgerPath(), R_OK | W_OK)) {
    return absl::PermissionDeniedError(
        absl::StrCat(LedgerPath(), ": this user may not read and write it ", kAnotherState));
  }
  return absl::OkStatus();
}

absl::Status MakeStateFolder() {
  if (absl::Status usable = CheckStateFolder(); !usable.ok()) return usable;
  const fs::path folder = StateFolder();
  std::error_code error;
  if (IsFolder(folder)) return absl::OkStatus();
  if (folder.has_parent_path()) fs::create_directories(folder.parent_path(), error);
  if (error || (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)) {
    return absl::UnavailableError(
        absl::StrCat(folder.string(), ": the folder cannot be made ", kAnotherState));
  }
  return absl::OkStatus();
}

std::vector<std::string> SharedFolders() {
  std::vector<std::string> folders;
  const fs::path installed = InstalledShare();
  for (const fs::path& folder : {installed / "presets", installed / "calibrations",
                                 fs::path(NEARFAR_SOURCE_DIR) / "policies" / "presets",
                                 fs::path(NEARFAR_SOURCE_DIR) / "policies" / "calibrations"}) {
    if (IsFolder(folder)) folders.push_back(folder.string());
  }
  return folders;
}

std::vector<std::string> PresetNames() {
  std::vector<std::string> names;
  for (const std::string& folder : SharedFolders()) {
    if (fs::path(folder).filename() != "presets") continue;
    std::error_code error;
    // Not a range-for, whose steps throw.
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
      if (entry->path().extension() == ".yaml") names.push_back(entry->path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

absl::StatusOr<std::string> FindPolicy(const std::string& name_or_path) {
  const bool is_name =
      !absl::StrContains(name_or_path, '/') && !absl::EndsWith(name_or_path, ".yaml");
  if (is_name) {
    for (const std::string& folder : SharedFolders()) {
      const fs::path path = fs::path(folder) / absl::StrCat(name_or_path, ".yaml");
      if (fs::path(folder).filename() == "presets" && IsFile(path)) return path.string();
    }
  }
  if (IsFile(name_or_path)) return name_or_path;
  return absl::NotFoundError(absl::StrCat(name_or_path, ": neither a file nor a preset (presets: ",
                                          absl::StrJoin(PresetNames(), ", "), ")"));
}

}  // namespace nearfar::cli
