// nearfar policy explain: what a policy would do with a question, and what would flip it. Asks no
// model and spends nothing; the near model's file is opened for its tokens and its binding.

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "absl/strings/match.h"
#include "router/cli/answer.h"
#include "router/cli/answer_door.h"
#include "router/cli/ask_flags.h"
#include "router/cli/commands.h"
#include "router/cli/exit_codes.h"

namespace nearfar::cli {
namespace {

// `policy explain my.yaml` asks what becomes of the question "my.yaml": hardly what was meant.
bool NamesPolicyFile(const std::string& text) {
  std::error_code error;
  return absl::EndsWith(text, ".yaml") && std::filesystem::is_regular_file(text, error);
}

class PolicyExplainCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    app->add_option("text", text_, "The question; - reads it from standard input")->required();
    ask_.Declare(app);
    door_.Declare(app);
    app->add_flag("--json", json_, "Print one JSON object");
  }

  int Run(Terminal* terminal) override {
    const absl::StatusOr<std::string> text = TextOrStdin(text_);
    if (!text.ok()) return FailText(text.status(), terminal);
    if (NamesPolicyFile(*text)) {
      terminal->Note(
          "note: the name of that file is taken as the question; a policy is named by --policy "
          "(nearfar policy explain --policy FILE TEXT)");
    }
    const auto door = OpenDoor(door_, DoorUse::kExplain, terminal);
    if (!door.ok()) return FailOpening(door.status(), terminal);
    Query query = ask_.MakeQuery();
    query.messages.push_back({"user", *text});
    return PrintExplanation(door->get(), query, json_, terminal);
  }

 private:
  std::string text_;
  AskFlags ask_;
  DoorFlags door_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakePolicyExplainCommand() {
  return std::make_unique<PolicyExplainCommand>();
}

}  // namespace nearfar::cli
