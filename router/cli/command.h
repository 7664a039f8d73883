// One command of the program `nearfar`: declares its options, then runs once. One caller at a time.
// A new command is one file beside this and one line in all_commands.cc.

#ifndef NEARFAR_ROUTER_CLI_COMMAND_H_
#define NEARFAR_ROUTER_CLI_COMMAND_H_

#include <memory>

#include "absl/types/span.h"
#include "router/cli/terminal.h"

namespace CLI {
class App;
}

namespace nearfar::cli {

class Command {
 public:
  virtual ~Command() = default;
  // Adds the command's options to its own sub-application.
  virtual void Declare(CLI::App* app) = 0;
  // Runs with the options that were given; returns the program's exit code (exit_codes.h).
  virtual int Run(Terminal* terminal) = 0;
};

struct CommandEntry {
  const char* group;  // "policy" of `nearfar policy check`; "" = none
  const char* name;
  const char* summary;
  const char* example;  // one or more command lines, shown by --help
  std::unique_ptr<Command> (*make)();
};

// In the order of --help.
absl::Span<const CommandEntry> AllCommands();

// What --help says of a group.
const char* GroupSummary(const char* group);

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_COMMAND_H_
