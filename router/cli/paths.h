// Where the program finds policies and keeps what it must remember. Nothing here creates a file
// except MakeStateFolder.

#ifndef NEARFAR_ROUTER_CLI_PATHS_H_
#define NEARFAR_ROUTER_CLI_PATHS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace nearfar::cli {

// ${NEARFAR_STATE:-~/.local/state/nearfar}: ledger, decision log, tainted sessions.
std::string StateFolder();
std::string LedgerPath();
std::string DecisionLogPath();
std::string TaintPath();
// Whether this user can keep the state there: in the folder with its ledger, or in the ancestor
// that it is yet to be made in. Answers wait for neither log nor taint: those tell of themselves.
// Errors: FailedPrecondition (no folder), PermissionDenied.
absl::Status CheckStateFolder();
// Makes the folder, 0700. Errors: those of CheckStateFolder; Unavailable.
absl::Status MakeStateFolder();

// Folders that may hold presets and calibrations, the nearest first: beside an installed program,
// then the source tree that it was built from.
std::vector<std::string> SharedFolders();

// The file of a preset's name or of a path. Errors: NotFound, which lists the presets.
absl::StatusOr<std::string> FindPolicy(const std::string& name_or_path);
std::vector<std::string> PresetNames();

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_PATHS_H_
