// nearfar policy reload: has a running nearfard read its policy file again, and tells every mistake
// of a file that it refuses. The old policy then stays in force.

#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "nearfar/v1/router.grpc.pb.h"
#include "router/cli/answer_door.h"
#include "router/cli/commands.h"
#include "router/cli/daemon_channel.h"
#include "router/cli/exit_codes.h"
#include "router/internal/json_writer.h"

namespace nearfar::cli {
namespace {

absl::StatusOr<nearfar::v1::ReloadPolicyResponse> Reload(const DaemonFlags& daemon) {
  const auto channel = OpenDaemonChannel(daemon);
  if (!channel.ok()) return channel.status();
  const auto stub = nearfar::v1::RouterService::NewStub(*channel);
  return CallDaemon(stub.get(), &nearfar::v1::RouterService::Stub::ReloadPolicy,
                    nearfar::v1::ReloadPolicyRequest(), daemon.address);
}

class PolicyReloadCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    daemon_.Declare(app)->required();
    app->add_flag("--json", json_, "Print one JSON object");
  }

  int Run(Terminal* terminal) override {
    const auto reloaded = Reload(daemon_);
    if (!reloaded.ok()) return FailOpening(reloaded.status(), terminal);
    if (json_) {
      internal::JsonWriter json;
      json.BeginObject();
      json.Field("name", reloaded->policy_name());
      json.Field("revision", reloaded->policy_revision());
      json.EndObject();
      terminal->Line(json.Take());
    } else {
      terminal->Line(absl::StrCat(reloaded->policy_name(), " is in force, revision ",
                                  reloaded->policy_revision().substr(0, 12)));
    }
    return kExitOk;
  }

 private:
  DaemonFlags daemon_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakePolicyReloadCommand() {
  return std::make_unique<PolicyReloadCommand>();
}

}  // namespace nearfar::cli
