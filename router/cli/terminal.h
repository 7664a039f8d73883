// The program's voice: answers and tables on standard output, everything about them on standard
// error, so that `nearfar ask ... > file` writes the answer alone. Colours only where a person
// looks on and NO_COLOR is unset. A failure to write the output is told once and remembered. One
// caller at a time, but Answer may come from another thread than the rest. Held by
// tests/router/cli/terminal_test.cc.

#ifndef NEARFAR_ROUTER_CLI_TERMINAL_H_
#define NEARFAR_ROUTER_CLI_TERMINAL_H_

#include <atomic>
#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace nearfar::cli {

enum class Paint { kPlain, kBold, kDim, kGood, kWarn, kBad };

class Terminal {
 public:
  // The process's own standard output and error.
  static Terminal ForProcess();
  // `width` in columns; 0 = ask the terminal, 100 where there is none.
  Terminal(std::FILE* out, std::FILE* err, bool colours, int width);

  // Text of our own on standard output, as it is; Line adds the line's end.
  void Print(absl::string_view text);
  void Line(absl::string_view text);
  // A piece of an answer, at once; the text of a model cannot control the terminal.
  void Answer(absl::string_view text);
  // A line on standard error: progress, footers.
  void Note(absl::string_view text);
  // "nearfar: text" on standard error.
  void Error(absl::string_view text);
  // Error of the status' message; returns its exit code.
  int Fail(const absl::Status& status);

  std::string Painted(Paint paint, absl::string_view text) const;
  // Standard output could not be written: the disk is full, or its reader is gone. What follows is
  // dropped; RunProgram returns kExitIo.
  bool output_lost() const { return output_lost_; }
  bool answers_to_person() const { return out_is_tty_; }
  int width() const { return width_; }

 private:
  void Output(absl::string_view text);

  std::FILE* out_;
  std::FILE* err_;
  bool out_is_tty_;
  bool colours_;
  int width_;
  std::atomic<bool> output_lost_{false};
};

// `text` without the control characters that move a terminal's cursor or change its state; newlines
// and tabs stay.
std::string WithoutControls(absl::string_view text);

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_TERMINAL_H_
