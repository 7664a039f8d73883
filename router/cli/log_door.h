// Opens the decision log for reading, beside a running daemon or not.

#ifndef NEARFAR_ROUTER_CLI_LOG_DOOR_H_
#define NEARFAR_ROUTER_CLI_LOG_DOOR_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "router/decision_log.h"

namespace CLI {
class App;
}

namespace nearfar::cli {

struct LogFlags {
  std::string path;  // empty = DecisionLogPath()

  void Declare(CLI::App* app);
  // Errors: NotFound (says where it looked), PermissionDenied, DataLoss.
  absl::StatusOr<std::unique_ptr<DecisionLog>> Open() const;
};

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_LOG_DOOR_H_
