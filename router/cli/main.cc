// The program `nearfar`.

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include <cstdio>
#include <cstring>

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
  nearfar::cli::Terminal terminal = nearfar::cli::Terminal::ForProcess();
  return nearfar::cli::RunProgram(argc, argv, &terminal);
}
