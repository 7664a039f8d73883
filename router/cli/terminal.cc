// See terminal.h.

#include "router/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "router/cli/exit_codes.h"

namespace nearfar::cli {
namespace {

constexpr int kDefaultWidth = 100;
constexpr int kNarrowest = 40;

int WidthOf(std::FILE* file) {
  winsize size{};
  if (ioctl(fileno(file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefaultWidth;
  return std::max<int>(size.ws_col, kNarrowest);
}

const char* CodeOf(Paint paint) {
  switch (paint) {
    case Paint::kPlain:
      return "";
    case Paint::kBold:
      return "\033[1m";
    case Paint::kDim:
      return "\033[2m";
    case Paint::kGood:
      return "\033[32m";
    case Paint::kWarn:
      return "\033[33m";
    case Paint::kBad:
      return "\033[31m";
  }
  return "";
}

bool Write(std::FILE* file, absl::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), file) == text.size() && std::fflush(file) == 0;
}

}  // namespace

Terminal Terminal::ForProcess() {
  const char* no_color = std::getenv("NO_COLOR");
  const bool plain = no_color != nullptr && *no_color != '\0';
  return Terminal(stdout, stderr, isatty(STDOUT_FILENO) && isatty(STDERR_FILENO) && !plain, 0);
}

Terminal::Terminal(std::FILE* out, std::FILE* err, bool colours, int width)
    : out_(out),
      err_(err),
      out_is_tty_(isatty(fileno(out)) != 0),
      colours_(colours),
      width_(width > 0 ? width : WidthOf(out)) {}

void Terminal::Output(absl::string_view text) {
  if (output_lost_ || Write(out_, text)) return;
  const int cause = errno;
  output_lost_ = true;
  // Where the reader has gone (head, a pager that was left) nobody waits for more, nor for a word.
  if (cause == EPIPE) return;
  Error(
      absl::StrCat("standard output cannot be written: ", std::generic_category().message(cause)));
}

void Terminal::Print(absl::string_view text) { Output(text); }

void Terminal::Line(absl::string_view text) { Output(absl::StrCat(text, "\n")); }

void Terminal::Answer(absl::string_view text) {
  Output(out_is_tty_ ? WithoutControls(text) : std::string(text));
}

void Terminal::Note(absl::string_view text) { Write(err_, absl::StrCat(text, "\n")); }

void Terminal::Error(absl::string_view text) {
  Write(err_, absl::StrCat(Painted(Paint::kBad, "nearfar:"), " ", text, "\n"));
}

int Terminal::Fail(const absl::Status& status) {
  Error(status.message().empty() ? absl::StatusCodeToString(status.code())
                                 : std::string(status.message()));
  return ExitCodeOf(status);
}

std::string Terminal::Painted(Paint paint, absl::string_view text) const {
  if (!colours_ || paint == Paint::kPlain) return std::string(text);
  return absl::StrCat(CodeOf(paint), text, "\033[0m");
}

std::string WithoutControls(absl::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080..U+009F, the C1 controls, are two bytes: C2 80..9F.
    if (byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      ++i;
      continue;
    }
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F) continue;
    clean.push_back(text[i]);
  }
  return clean;
}

}  // namespace nearfar::cli
