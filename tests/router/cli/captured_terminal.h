// A terminal whose output a test can read, and a whole run of the program with it.

#ifndef NEARFAR_TESTS_ROUTER_CLI_CAPTURED_TERMINAL_H_
#define NEARFAR_TESTS_ROUTER_CLI_CAPTURED_TERMINAL_H_

#include <cstdio>
#include <string>
#include <vector>

#include "router/cli/program.h"
#include "router/cli/terminal.h"

namespace nearfar::cli {

class CapturedTerminal {
 public:
  explicit CapturedTerminal(int width = 100)
      : out_(std::tmpfile()), err_(std::tmpfile()), terminal_(out_, err_, false, width) {}
  ~CapturedTerminal() {
    std::fclose(out_);
    std::fclose(err_);
  }
  CapturedTerminal(const CapturedTerminal&) = delete;
  CapturedTerminal& operator=(const CapturedTerminal&) = delete;

  Terminal* get() { return &terminal_; }
  std::string out() const { return TextOf(out_); }
  std::string err() const { return TextOf(err_); }

 private:
  static std::string TextOf(std::FILE* file) {
    std::rewind(file);
    std::string text;
    char block[4096];
    size_t got;
    while ((got = std::fread(block, 1, sizeof(block), file)) > 0) text.append(block, got);
    return text;
  }

  std::FILE* out_;
  std::FILE* err_;
  Terminal terminal_;
};

struct ProgramRun {
  int code = 0;
  std::string out, err;
};

// Runs `nearfar ARGUMENTS...` in this process.
inline ProgramRun RunNearfar(const std::vector<std::string>& arguments) {
  CapturedTerminal captured;
  std::vector<const char*> argv = {"nearfar"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  const int code = RunProgram(static_cast<int>(argv.size()), argv.data(), captured.get());
  return {code, captured.out(), captured.err()};
}

}  // namespace nearfar::cli

#endif  // NEARFAR_TESTS_ROUTER_CLI_CAPTURED_TERMINAL_H_
