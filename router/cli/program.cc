// See program.h. CLI11 reports by exceptions; they end here.

#include "router/cli/program.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "router/cli/command.h"
#include "router/cli/exit_codes.h"

namespace nearfar::cli {
namespace {

constexpr const char* kAbout =
    "Answers questions on this device with a small model, and sends them to a larger one\n"
    "far away when the expected gain is worth its price.";

struct Declared {
  CLI::App* app;
  std::unique_ptr<Command> command;
};

std::string ExampleText(const char* example) { return absl::StrCat("example:\n  ", example); }

CLI::App* GroupOf(const CommandEntry& entry, CLI::App* root,
                  std::map<std::string_view, CLI::App*>* groups) {
  if (*entry.group == '\0') return root;
  CLI::App*& group = (*groups)[entry.group];
  if (group == nullptr) {
    group = root->add_subcommand(entry.group, GroupSummary(entry.group));
    group->require_subcommand(1);
    group->footer(ExampleText(entry.example));
  }
  return group;
}

std::vector<Declared> DeclareAll(CLI::App* root) {
  std::vector<Declared> declared;
  std::map<std::string_view, CLI::App*> groups;
  for (const CommandEntry& entry : AllCommands()) {
    CLI::App* app = GroupOf(entry, root, &groups)->add_subcommand(entry.name, entry.summary);
    app->footer(ExampleText(entry.example));
    declared.push_back({app, entry.make()});
    declared.back().command->Declare(app);
  }
  return declared;
}

// The innermost command that was named, as a person would type it: "nearfar policy check".
std::string NamedCommand(const CLI::App& app) {
  std::string name = app.get_name();
  for (const CLI::App* sub : app.get_subcommands()) {
    return absl::StrCat(name, " ", NamedCommand(*sub));
  }
  return name;
}

const CLI::App& Innermost(const CLI::App& app) {
  const std::vector<CLI::App*> named = app.get_subcommands();
  return named.empty() ? app : Innermost(*named.front());
}

std::vector<std::string> CommandsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(sub->get_name());
  }
  return names;
}

// Letters to put in, take out or change until one word is the other (Levenshtein 1966).
size_t Distance(std::string_view from, std::string_view to) {
  std::vector<size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < from.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < to.size(); ++j) {
      const size_t changed = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

// "there is no command 'chta' (did you mean chat?); "; empty where no word was given. What has a
// space is no slip of a command but a question, which no message repeats.
std::string UnknownWord(const CLI::App& app, const std::vector<std::string>& commands) {
  constexpr size_t kSlips = 2;
  const std::vector<std::string> words = app.remaining();
  if (words.empty() || words.front().empty() || words.front()[0] == '-') return "";
  const std::string& word = words.front();
  if (absl::StrContains(word, ' ')) return "a question is asked with nearfar ask; ";
  std::vector<std::string> near;
  for (const std::string& command : commands) {
    if (Distance(word, command) <= kSlips) near.push_back(command);
  }
  return absl::StrCat(
      "there is no command '", WithoutControls(word), "'",
      near.empty() ? "" : absl::StrCat(" (did you mean ", absl::StrJoin(near, ", "), "?)"), "; ");
}

// What is wrong where `app` is a group and no command of it was named; empty where `app` is a
// command by itself.
std::string WrongCommand(const CLI::App& app) {
  const std::vector<std::string> commands = CommandsOf(app);
  if (commands.empty()) return "";
  return absl::StrCat(UnknownWord(app, commands), app.get_name(),
                      " needs one of: ", absl::StrJoin(commands, ", "));
}

// What is wrong where a text came in several arguments: none of its words is repeated.
std::string UnquotedText(const CLI::App& app) {
  const std::vector<std::string> words = app.remaining();
  const bool option = std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return absl::StartsWith(word, "-");
  });
  if (words.empty() || option || app.get_option_no_throw("text") == nullptr) return "";
  return "the text is one argument: put it in quotes, as \"...\", or give - and write it to "
         "standard input";
}

int WrongUse(const CLI::App& root, const CLI::ParseError& error, Terminal* terminal) {
  std::string message = WrongCommand(Innermost(root));
  if (message.empty()) message = UnquotedText(Innermost(root));
  if (message.empty()) message = error.what();
  while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) message.pop_back();
  terminal->Error(absl::StrCat(message, " (try: ", NamedCommand(root), " --help)"));
  return kExitUsage;
}

int ParseAndRun(int argc, const char* const* argv, Terminal* terminal) {
  CLI::App root(kAbout, "nearfar");
  root.set_version_flag("--version", absl::StrCat("nearfar ", NEARFAR_VERSION));
  root.require_subcommand(1);
  root.footer(ExampleText("nearfar ask \"What is the capital of Norway?\"\n  nearfar doctor"));
  const std::vector<Declared> declared = DeclareAll(&root);
  try {
    root.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    terminal->Print(root.help());  // of the innermost command that was named
    return kExitOk;
  } catch (const CLI::CallForVersion& version) {
    terminal->Line(version.what());
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    return WrongUse(root, error, terminal);
  }
  for (const Declared& entry : declared) {
    if (entry.app->parsed()) return entry.command->Run(terminal);
  }
  return kExitSoftware;
}

}  // namespace

int RunProgram(int argc, const char* const* argv, Terminal* terminal) {
  const int code = ParseAndRun(argc, argv, terminal);
  return terminal->output_lost() ? kExitIo : code;
}

}  // namespace nearfar::cli
