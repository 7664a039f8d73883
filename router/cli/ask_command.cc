// nearfar ask: one question, routed near or far.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "router/cli/answer.h"
#include "router/cli/answer_door.h"
#include "router/cli/ask_flags.h"
#include "router/cli/commands.h"
#include "router/cli/exit_codes.h"
#include "router/cli/interrupt.h"

namespace nearfar::cli {
namespace {

class AskCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    app->add_option("text", text_, "The question; - reads it from standard input")->required();
    ask_.Declare(app);
    door_.Declare(app);
    CLI::Option* explain = app->add_flag(
        "--explain", explain_, "Print the decision with its counterfactual; ask no model");
    app->add_flag("--json", json_, "Print one JSON object");
    app->add_flag("--quiet", quiet_, "Print the answer alone")->excludes(explain);
  }

  int Run(Terminal* terminal) override {
    const absl::StatusOr<std::string> text = TextOrStdin(text_);
    if (!text.ok()) return FailText(text.status(), terminal);
    Interrupt interrupt;
    const auto door = OpenDoor(door_, explain_ ? DoorUse::kExplain : DoorUse::kAnswer, terminal);
    if (!door.ok()) return FailOpening(door.status(), terminal);
    Query query = ask_.MakeQuery();
    query.messages.push_back({"user", *text});
    return explain_ ? PrintExplanation(door->get(), query, json_, terminal)
                    : Ask(door->get(), std::move(query), &interrupt, terminal);
  }

 private:
  int Ask(AnswerDoor* door, Query query, Interrupt* interrupt, Terminal* terminal) const {
    const Answer answer = AskAndWait(door, std::move(query), !json_, interrupt, terminal);
    if (terminal->output_lost()) return kExitIo;  // said, where there is something to say
    if (json_) {
      terminal->Line(AnswerJson(answer));
    } else if (answer.finished.has_value()) {
      terminal->Line("");
      if (!quiet_) terminal->Note(Footer(answer, *terminal));
    }
    if (!answer.finished.has_value() && !json_) return terminal->Fail(answer.failed.status);
    return ExitCodeOf(answer);
  }

  std::string text_;
  AskFlags ask_;
  DoorFlags door_;
  bool explain_ = false, json_ = false, quiet_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeAskCommand() { return std::make_unique<AskCommand>(); }

}  // namespace nearfar::cli
