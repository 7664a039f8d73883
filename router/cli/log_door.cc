// See log_door.h.

#include "router/cli/log_door.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "router/cli/paths.h"

namespace nearfar::cli {

void LogFlags::Declare(CLI::App* app) {
  app->add_option("--log", path, "The log's file; default: that of $NEARFAR_STATE");
}

absl::StatusOr<std::unique_ptr<DecisionLog>> LogFlags::Open() const {
  const std::string file = path.empty() ? DecisionLogPath() : path;
  std::error_code error;
  const bool there = std::filesystem::exists(file, error);
  if (error || (there && faccessat(AT_FDCWD, file.c_str(), R_OK, AT_EACCESS) != 0)) {
    const std::string cause =
        (error ? error : std::error_code(errno, std::generic_category())).message();
    return absl::PermissionDeniedError(
        absl::StrCat(file, ": the decision log cannot be read: ", cause));
  }
  if (!there) {
    return absl::NotFoundError(absl::StrCat(
        file, ": no decision log is there (nearfar ask writes one; --log names a daemon's)"));
  }
  return DecisionLog::OpenReadOnly(file);
}

}  // namespace nearfar::cli
