// See answer_door.h.

#include "router/cli/answer_door.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "policies/policy_file.h"
#include "router/cli/exit_codes.h"
#include "router/cli/paths.h"

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
  if (!flags.daemon.address.empty()) return OpenDaemonDoor(flags.daemon);
  // A choice that is wrong ends here: without a near model the question would go far.
  const absl::Status kernels = Engine::CheckKernels(flags.engine.kernels);
  if (!kernels.ok()) return absl::InvalidArgumentError(kernels.message());
  return OpenRouterDoor(flags, use, terminal);
}

int FailOpening(const absl::Status& status, Terminal* terminal) {
  const int code = terminal->Fail(status);
  return absl::IsInvalidArgument(status) ? kExitConfig : code;
}

}  // namespace nearfar::cli
