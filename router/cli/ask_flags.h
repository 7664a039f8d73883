// The options of a question that `ask`, `chat` and `policy explain` share, and the query they make.

#ifndef NEARFAR_ROUTER_CLI_ASK_FLAGS_H_
#define NEARFAR_ROUTER_CLI_ASK_FLAGS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "router/cli/terminal.h"
#include "router/query.h"

namespace CLI {
class App;
}

namespace nearfar::cli {

struct SamplingFlags {
  SamplingParams params;
  bool greedy = false;

  void Declare(CLI::App* app);
};

struct AskFlags {
  SamplingFlags sampling;
  int max_tokens = 256;
  std::vector<std::string> stop;
  std::string system;
  std::string session;
  std::string route;
  std::optional<double> max_cost_usd, min_confidence, max_ttft_seconds;
  double timeout_seconds = 0;
  bool local_only = false;
  bool needs_json = false;

  void Declare(CLI::App* app);
  // The query of these options without its messages, but for the system's; its deadline counts from
  // now.
  Query MakeQuery() const;
};

// `given`, or all of standard input where it is "-". Errors: InvalidArgument (nothing there), those
// of CheckText.
absl::StatusOr<std::string> TextOrStdin(const std::string& given);
// What a person typed is text. Errors: DataLoss (not UTF-8).
absl::Status CheckText(const std::string& text);
// Says why there is no text; returns the exit code (none at all is wrong use).
int FailText(const absl::Status& status, Terminal* terminal);

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_ASK_FLAGS_H_
