// The program `nearfar`.

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "router/cli/exit_codes.h"
#include "router/cli/program.h"
#include "router/cli/terminal.h"

int main(int argc, char** argv) {
  // gRPC and protobuf would write to standard error by themselves, protobuf with parts of messages;
  // only what ends the program is worth a line.
  gpr_set_log_function([](gpr_log_func_args* line) {
    if (std::strstr(line->message, "assertion failed") != nullptr) {
      std::fprintf(stderr, "nearfar: a defect in gRPC: %s\n", line->message);
    }
  });
  google::protobuf::SetLogHandler(nullptr);
  // A reader that goes (`nearfar ask ... | head -1`) is a failed write, not the end of the process:
  // the ledger is still to be settled, and an open lease would count as spent.
  std::signal(SIGPIPE, SIG_IGN);
  // Our own code throws nothing; a library that does (no memory, say) ends in one line and a code.
  try {
    nearfar::cli::Terminal terminal = nearfar::cli::Terminal::ForProcess();
    return nearfar::cli::RunProgram(argc, argv, &terminal);
  } catch (...) {
    std::fputs("nearfar: a library threw an exception; this is a defect, please report it\n",
               stderr);
    return nearfar::cli::kExitSoftware;
  }
}
