// See answer_door.h.

#include "router/cli/answer_door.h"

#include <CLI/CLI.hpp>

#include "router/cli/exit_codes.h"

namespace nearfar::cli {

void DoorFlags::Declare(CLI::App* app) {
  CLI::Option* near_policy =
      app->add_option("--policy", policy, "Policy file, or a preset's name")->capture_default_str();
  CLI::Option* near_model =
      app->add_option("--model", model, "Near model instead of the policy's: a name or a path");
  CLI::Option* address = daemon.Declare(app);
  near_policy->excludes(address);
  near_model->excludes(address);
  engine.Declare(app);
}

absl::StatusOr<std::unique_ptr<AnswerDoor>> OpenDoor(const DoorFlags& flags, DoorUse use,
                                                     Terminal* terminal) {
  return flags.daemon.address.empty() ? OpenRouterDoor(flags, use, terminal)
                                      : OpenDaemonDoor(flags.daemon);
}

int FailOpening(const absl::Status& status, Terminal* terminal) {
  const int code = terminal->Fail(status);
  return absl::IsInvalidArgument(status) ? kExitConfig : code;
}

}  // namespace nearfar::cli
