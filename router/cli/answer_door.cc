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
  CLI::Option* address =
      app->add_option("--daemon", daemon, "Ask a running nearfard: unix:/path, or host:port");
  near_policy->excludes(address);
  near_model->excludes(address);
  app->add_option("--ca", ca_file, "PEM file of the authority that signed the daemon's certificate")
      ->needs(address);
  CLI::Option* cert =
      app->add_option("--cert", cert_file, "PEM file of our own certificate (mTLS)");
  CLI::Option* key = app->add_option("--key", key_file, "PEM file of our certificate's key");
  cert->needs(address)->needs(key);
  key->needs(cert);
  app->add_option("--server-name", server_name, "Name that the daemon's certificate must have")
      ->needs(address);
  engine.Declare(app);
}

absl::StatusOr<std::unique_ptr<AnswerDoor>> OpenDoor(const DoorFlags& flags, DoorUse use,
                                                     Terminal* terminal) {
  return flags.daemon.empty() ? OpenRouterDoor(flags, use, terminal) : OpenDaemonDoor(flags);
}

int FailOpening(const absl::Status& status, Terminal* terminal) {
  const int code = terminal->Fail(status);
  return absl::IsInvalidArgument(status) ? kExitConfig : code;
}

}  // namespace nearfar::cli
