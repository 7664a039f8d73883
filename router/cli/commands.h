// The factories of all commands; each is whole in its own file.

#ifndef NEARFAR_ROUTER_CLI_COMMANDS_H_
#define NEARFAR_ROUTER_CLI_COMMANDS_H_

#include <memory>

#include "router/cli/command.h"

namespace nearfar::cli {

std::unique_ptr<Command> MakeAskCommand();
std::unique_ptr<Command> MakeChatCommand();
std::unique_ptr<Command> MakeGenerateCommand();
std::unique_ptr<Command> MakePolicyCheckCommand();
std::unique_ptr<Command> MakePolicyExplainCommand();
std::unique_ptr<Command> MakePolicyShowCommand();
std::unique_ptr<Command> MakePolicyReloadCommand();
std::unique_ptr<Command> MakeModelsListCommand();
std::unique_ptr<Command> MakeModelsVerifyCommand();
std::unique_ptr<Command> MakeModelsInspectCommand();
std::unique_ptr<Command> MakeLogShowCommand();
std::unique_ptr<Command> MakeLogStatsCommand();
std::unique_ptr<Command> MakeDoctorCommand();
std::unique_ptr<Command> MakeBenchCommand();
std::unique_ptr<Command> MakeCollectCommand();
std::unique_ptr<Command> MakeCalibrateCommand();

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_COMMANDS_H_
