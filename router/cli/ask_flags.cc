// See ask_flags.h.

#include "router/cli/ask_flags.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>
#include <iterator>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "local_engine/sampling_options.h"
#include "router/cli/exit_codes.h"
#include "router/internal/utf8.h"

namespace nearfar::cli {
namespace {

constexpr int kMostTokens = 1 << 20;
constexpr double kSmallestMass = 1e-6;  // of --top-p

// Checks of options: what is wrong with `text`, or nothing.
std::string NotNegative(const std::string& text) {
  double value = 0;
  const bool right = absl::SimpleAtod(text, &value) && value >= 0 && std::isfinite(value);
  return right ? "" : absl::StrCat(text, " is no number >= 0");
}
// The library would take -1 for the largest number.
std::string SeedLike(const std::string& text) {
  uint64_t value = 0;
  return absl::SimpleAtoi(text, &value) ? "" : absl::StrCat(text, " is no whole number >= 0");
}

}  // namespace

void SamplingFlags::Declare(CLI::App* app) {
  app->add_option("--temperature", params.temperature, "0 = greedy (the default)")
      ->check(CLI::Range(0.0, 100.0));
  app->add_option("--top-k", params.top_k, "Keep the k most likely tokens; 0 = off")
      ->check(CLI::Range(0, kMostTokens));
  app->add_option("--top-p", params.top_p, "Keep the likeliest tokens up to this mass; 1 = off")
      ->check(CLI::Range(kSmallestMass, 1.0).description("in (0, 1]"));
  app->add_option("--min-p", params.min_p, "Drop tokens below this share of the best; 0 = off")
      ->check(CLI::Range(0.0, 0.999));
  app->add_option("--repetition-penalty", params.repetition_penalty, "1 = off")
      ->check(CLI::Range(kLeastRepetitionPenalty, kMostRepetitionPenalty));
  app->add_option("--seed", params.seed, "Of the sampler; the same seed, the same answer")
      ->check(&SeedLike);
  app->add_flag("--greedy", greedy, "Always the likeliest token, whatever else is set");
  app->callback([this] {
    if (greedy) params.temperature = 0;
  });
}

void AskFlags::Declare(CLI::App* app) {
  app->add_option("--max-tokens", max_tokens, "Longest answer")
      ->check(CLI::Range(1, kMostTokens))
      ->capture_default_str();
  app->add_option("--system", system, "System message");
  app->add_option("--stop", stop, "The answer ends before this text; may be repeated")
      ->allow_extra_args(false);
  app->add_option("--session", session, "Names a conversation: its KV cache and its taint");
  app->add_option(
         "--route", route,
         "near: near alone answers. far: far is preferred, where the policy lets it and it "
         "can be had")
      ->check(CLI::IsMember({"near", "far"}));
  app->add_flag("--local-only", local_only, "Nothing of this question leaves the device");
  app->add_option("--max-cost", max_cost_usd, "Most that this answer may cost, in USD")
      ->check(&NotNegative);
  app->add_option("--min-confidence", min_confidence, "A near answer below this goes far, [0, 1]")
      ->check(CLI::Range(0.0, 1.0));
  app->add_option("--max-ttft", max_ttft_seconds, "Seconds to the first text that are bearable")
      ->check(&NotNegative);
  app->add_option("--timeout", timeout_seconds, "Seconds for the whole answer; 0 = the default")
      ->check(&NotNegative);
  app->add_flag("--json-answer", needs_json, "The answer must be JSON");
  sampling.Declare(app);
}

Query AskFlags::MakeQuery() const {
  Query query;
  query.session_key = session;
  if (!system.empty()) query.messages.push_back({"system", system});
  query.sampling = sampling.params;
  query.max_tokens = max_tokens;
  query.stop = stop;
  query.format = needs_json ? ResponseFormat::kJson : ResponseFormat::kText;
  if (route == "near") query.options.route = Route::kNear;
  if (route == "far") query.options.route = Route::kFar;
  query.options.max_cost_usd = max_cost_usd;
  query.options.min_confidence = min_confidence;
  if (max_ttft_seconds.has_value()) query.options.max_ttft = absl::Seconds(*max_ttft_seconds);
  query.options.local_only = local_only;
  if (timeout_seconds > 0) query.deadline = absl::Now() + absl::Seconds(timeout_seconds);
  return query;
}

absl::StatusOr<std::string> TextOrStdin(const std::string& given) {
  std::string text = given;
  if (given == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
    text = std::string(absl::StripSuffix(text, "\n"));
  }
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    return absl::InvalidArgumentError("the text is empty (give it as an argument, or - for stdin)");
  }
  if (absl::Status checked = CheckText(text); !checked.ok()) return checked;
  return text;
}

absl::Status CheckText(const std::string& text) {
  if (internal::IsValidUtf8(text)) return absl::OkStatus();
  return absl::DataLossError("the text is not valid UTF-8 (iconv converts other encodings)");
}

int FailText(const absl::Status& status, Terminal* terminal) {
  const int code = terminal->Fail(status);
  return absl::IsInvalidArgument(status) ? kExitUsage : code;
}

}  // namespace nearfar::cli
