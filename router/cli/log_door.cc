// See log_door.h.

#include "router/cli/log_door.h"

#include <CLI/CLI.hpp>
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
  if (!std::filesystem::exists(file, error)) {
    return absl::NotFoundError(absl::StrCat(
        file, ": no decision log is there (nearfar ask writes one; --log names a daemon's)"));
  }
  return DecisionLog::OpenReadOnly(file);
}

}  // namespace nearfar::cli
