// The program `nearfar`.

#include "router/cli/program.h"
#include "router/cli/terminal.h"

int main(int argc, char** argv) {
  nearfar::cli::Terminal terminal = nearfar::cli::Terminal::ForProcess();
  return nearfar::cli::RunProgram(argc, argv, &terminal);
}
