// The program `nearfar` as a function: command line in, exit code out. Held by
// tests/router/cli/commands_test.cc.

#ifndef NEARFAR_ROUTER_CLI_PROGRAM_H_
#define NEARFAR_ROUTER_CLI_PROGRAM_H_

#include "router/cli/terminal.h"

namespace nearfar::cli {

int RunProgram(int argc, const char* const* argv, Terminal* terminal);

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_PROGRAM_H_
