// nearfar chat: a conversation, turn by turn. Every turn sends the whole history; the session's key
// lets the near side reuse its KV cache, and carries the taint.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "router/cli/answer.h"
#include "router/cli/answer_door.h"
#include "router/cli/ask_flags.h"
#include "router/cli/commands.h"
#include "router/cli/decision_view.h"
#include "router/cli/exit_codes.h"
#include "router/cli/interrupt.h"

namespace nearfar::cli {
namespace {

constexpr const char* kHelp =
    "/help            this list\n"
    "/explain         where the last question would go now, why, and what would flip it\n"
    "/route near|far|auto   near: near alone answers from now on; far: far is preferred, where "
    "the\n"
    "                 policy lets it and it can be had; auto: as the policy decides\n"
    "/new             a new conversation: history and taint begin anew\n"
    "/clear-taint     your own act: forget what was said, so that this conversation may leave the\n"
    "                 device again\n"
    "/quit            end (Ctrl-D, too); Ctrl-C stops the answer that is being written\n"
    "A line that ends with \\ goes on in the next one.\n";

// 128 random bits: no other conversation, of this device or another, has the same one.
std::string NewSessionKey() {
  std::random_device random;
  return absl::StrFormat("chat-%08x%08x%08x%08x", random(), random(), random(), random());
}

class Conversation {
 public:
  Conversation(const AskFlags& flags, AnswerDoor* door, Interrupt* interrupt, Terminal* terminal)
      : flags_(flags), door_(door), interrupt_(interrupt), terminal_(terminal) {
    session_ = flags.session.empty() ? NewSessionKey() : flags.session;
  }

  // The exit code of the last turn or order that failed; kExitOk where none did.
  int failure() const { return failure_; }

  // False at the end.
  bool Turn(const std::string& line) {
    if (line.find_first_not_of(" \t") == std::string::npos) return true;
    if (line[0] == '/') return Order(line);
    Say(line);
    return true;
  }

 private:
  bool Order(const std::string& line) {
    absl::string_view rest = line;
    if (line == "/quit" || line == "/exit") return false;
    if (line == "/help") {
      terminal_->Print(kHelp);
    } else if (line == "/new") {
      history_.clear();
      asked_.reset();
      session_ = NewSessionKey();
      terminal_->Note("a new conversation");
    } else if (line == "/clear-taint") {
      ClearTaint();
    } else if (line == "/explain") {
      ExplainLast();
    } else if (absl::ConsumePrefix(&rest, "/route ")) {
      SetRoute(rest);
    } else {
      Refuse("no such order (/help lists them)");
    }
    return true;
  }

  // Every turn sends the history, and what tainted the session would taint it again.
  void ClearTaint() {
    const absl::Status cleared = door_->ClearTaint(session_);
    if (!cleared.ok()) {
      failure_ = terminal_->Fail(cleared);
      return;
    }
    history_.clear();
    asked_.reset();
    terminal_->Note(
        "what was said so far is forgotten; this conversation may leave the device again");
  }

  void Refuse(absl::string_view why) {
    terminal_->Error(why);
    failure_ = kExitUsage;
  }

  void SetRoute(absl::string_view route) {
    if (route != "near" && route != "far" && route != "auto") {
      Refuse("/route takes near, far or auto");
      return;
    }
    flags_.route = route == "auto" ? "" : std::string(route);
    terminal_->Note(absl::StrCat("route: ", route));
  }

  Query MakeQuery() const {
    Query query = flags_.MakeQuery();
    query.session_key = session_;
    query.messages.insert(query.messages.end(), history_.begin(), history_.end());
    return query;
  }

  void ExplainLast() {
    if (!asked_.has_value()) {
      terminal_->Note("nothing was asked yet");
      return;
    }
    const absl::StatusOr<Decision> decision = door_->Explain(*asked_);
    if (!decision.ok()) {
      failure_ = terminal_->Fail(decision.status());
      return;
    }
    terminal_->Line(absl::StrCat("now, this question would go ", RouteText(*decision), ":"));
    terminal_->Print(FormatDecision(*decision, *terminal_));
  }

  void Say(const std::string& text) {
    if (const absl::Status checked = CheckText(text); !checked.ok()) {
      failure_ = terminal_->Fail(checked);
      return;
    }
    history_.push_back({"user", text});
    const Query query = MakeQuery();
    asked_ = query;
    const Answer answer = AskAndWait(door_, query, true, interrupt_, terminal_);
    terminal_->Line("");
    if (!answer.finished.has_value()) {
      // A turn without an answer would leave two user turns in a row.
      history_.pop_back();
      failure_ = ExitCodeOf(answer);
      absl::IsCancelled(answer.failed.status) ? terminal_->Note("(stopped; this turn is forgotten)")
                                              : (void)terminal_->Fail(answer.failed.status);
      return;
    }
    history_.push_back({"assistant", answer.finished->text});
    terminal_->Note(Footer(answer, *terminal_));
  }

  AskFlags flags_;
  AnswerDoor* door_;
  Interrupt* interrupt_;
  Terminal* terminal_;
  std::string session_;
  std::vector<Message> history_;
  std::optional<Query> asked_;
  int failure_ = kExitOk;
};

// What stands before a line that is typed, after a Ctrl-C too; the terminal then drops that line.
void ShowMark(const char* mark, Interrupt* interrupt, Terminal* terminal) {
  terminal->Print(mark);
  interrupt->OnInterrupt([mark, terminal] {
    terminal->Note("\n/quit or Ctrl-D ends");
    terminal->Print(mark);
  });
}

// A line of standard input, continued while it ends with a backslash; false at its end.
bool ReadTurn(bool prompt, Interrupt* interrupt, Terminal* terminal, std::string* turn) {
  turn->clear();
  std::string line;
  ShowMark(prompt ? "> " : "", interrupt, terminal);
  while (std::getline(std::cin, line)) {
    const bool goes_on = !line.empty() && line.back() == '\\';
    if (goes_on) line.pop_back();
    absl::StrAppend(turn, line);
    if (!goes_on) return true;
    turn->push_back('\n');
    ShowMark(prompt ? "  " : "", interrupt, terminal);
  }
  return !turn->empty();
}

class ChatCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    ask_.Declare(app);
    door_.Declare(app);
  }

  int Run(Terminal* terminal) override {
    Interrupt interrupt;
    const auto door = OpenDoor(door_, DoorUse::kAnswer, terminal);
    if (!door.ok()) return FailOpening(door.status(), terminal);
    const bool prompt = isatty(STDIN_FILENO) != 0;
    if (prompt)
      terminal->Note(absl::StrCat((*door)->name(), "; /help lists the orders, /quit ends"));
    Conversation conversation(ask_, door->get(), &interrupt, terminal);
    std::string turn;
    while (true) {
      if (!ReadTurn(prompt, &interrupt, terminal, &turn)) {
        if (prompt) terminal->Line("");
        break;
      }
      interrupt.OnInterrupt(nullptr);
      if (!conversation.Turn(turn) || terminal->output_lost()) break;
    }
    // A person has seen what failed; a script sees the code alone.
    return prompt ? kExitOk : conversation.failure();
  }

 private:
  AskFlags ask_;
  DoorFlags door_;
};

}  // namespace

std::unique_ptr<Command> MakeChatCommand() { return std::make_unique<ChatCommand>(); }

}  // namespace nearfar::cli
