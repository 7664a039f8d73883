#include "router/cli/terminal.h"

#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "router/cli/exit_codes.h"
#include "tests/router/cli/captured_terminal.h"

namespace nearfar::cli {
namespace {

TEST(Terminal, AnswersGoToOutputAndTalkGoesToError) {
  CapturedTerminal captured;
  captured.get()->Answer("the answer");
  captured.get()->Note("a note");
  captured.get()->Error("an error");
  EXPECT_EQ(captured.out(), "the answer");
  EXPECT_EQ(captured.err(), "a note\nnearfar: an error\n");
}

TEST(Terminal, PaintsOnlyWhereColoursAreWanted) {
  CapturedTerminal captured;
  EXPECT_EQ(captured.get()->Painted(Paint::kBad, "x"), "x");
  const Terminal colourful(stdout, stderr, true, 80);
  EXPECT_EQ(colourful.Painted(Paint::kBad, "x"), "\033[31mx\033[0m");
  EXPECT_EQ(colourful.Painted(Paint::kPlain, "x"), "x");
}

TEST(Terminal, AFileGetsTheAnswerByteForByte) {
  CapturedTerminal captured;  // no terminal: nothing is taken out
  captured.get()->Answer("a\033[2Jb");
  EXPECT_EQ(captured.out(), "a\033[2Jb");
}

TEST(Terminal, TellsOnceOfAnOutputThatCannotBeWritten) {
  std::FILE* full = std::fopen("/dev/full", "w");
  std::FILE* err = std::tmpfile();
  ASSERT_TRUE(full != nullptr && err != nullptr);
  Terminal terminal(full, err, false, 80);
  EXPECT_FALSE(terminal.output_lost());
  terminal.Line("a table");
  terminal.Answer("an answer");
  EXPECT_TRUE(terminal.output_lost());
  std::rewind(err);
  char text[200] = "";
  text[std::fread(text, 1, sizeof(text) - 1, err)] = '\0';
  EXPECT_STREQ(text, "nearfar: standard output cannot be written: No space left on device\n");
  std::fclose(full);
  std::fclose(err);
}

TEST(WithoutControls, TakesOutWhatWouldSteerATerminal) {
  EXPECT_EQ(WithoutControls("a\033[2Jb\ac\x7F\r\n\td"), "a[2Jbc\n\td");
  EXPECT_EQ(WithoutControls("x\xC2\x9B"
                            "31mY"),
            "x31mY");  // C1: a control sequence in one sign
  EXPECT_EQ(WithoutControls("né 日本 😀 \xC2\xA0"), "né 日本 😀 \xC2\xA0");
}

TEST(Fail, SaysTheMessageAndPicksTheExitCode) {
  CapturedTerminal captured;
  EXPECT_EQ(captured.get()->Fail(absl::NotFoundError("x.gguf: no such file")), kExitNoInput);
  EXPECT_EQ(captured.err(), "nearfar: x.gguf: no such file\n");
}

TEST(ExitCodes, FollowSysexits) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), 65);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError("")), 66);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), 69);
  EXPECT_EQ(ExitCodeOf(absl::InternalError("")), 70);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), 75);
  EXPECT_EQ(ExitCodeOf(absl::PermissionDeniedError("")), 77);
  EXPECT_EQ(ExitCodeOf(absl::CancelledError("")), 130);
}

}  // namespace
}  // namespace nearfar::cli
