// nearfar policy show: the text of a preset, ready to be copied and changed.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_join.h"
#include "policies/policy_file.h"
#include "router/cli/commands.h"
#include "router/cli/exit_codes.h"
#include "router/cli/paths.h"

namespace nearfar::cli {
namespace {

class PolicyShowCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    app->add_option("preset", preset_, "A preset's name; without it the names are listed");
  }

  int Run(Terminal* terminal) override {
    if (preset_.empty()) {
      terminal->Line(absl::StrJoin(PresetNames(), "\n"));
      return kExitOk;
    }
    const absl::StatusOr<std::string> path = FindPolicy(preset_);
    if (!path.ok()) return terminal->Fail(path.status());
    const absl::StatusOr<std::string> text = ReadPolicyText(*path);
    if (!text.ok()) return terminal->Fail(text.status());
    terminal->Print(*text);
    return kExitOk;
  }

 private:
  std::string preset_;
};

}  // namespace

std::unique_ptr<Command> MakePolicyShowCommand() { return std::make_unique<PolicyShowCommand>(); }

}  // namespace nearfar::cli
