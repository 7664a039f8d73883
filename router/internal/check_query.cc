// See check_query.h.

#include "router/internal/check_query.h"

#include <cmath>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "router/internal/utf8.h"

namespace nearfar::internal {
namespace {

constexpr size_t kMostMessages = 4096;
constexpr size_t kMostBytes = 8 << 20;  // of all turns together
// Those of local_engine/sampling_options.h, which the core does not see; the test holds them equal.
constexpr size_t kMostStops = 16;
constexpr size_t kMostStopBytes = 1024;
constexpr float kLeastPenalty = 0.01f;
constexpr float kMostPenalty = 100;
constexpr size_t kMostNameBytes = 256;  // id, session_key
constexpr int kMostTokens = 1 << 20;

absl::Status Bad(const std::string& field, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", what));
}

bool IsRole(const std::string& role) {
  return role == "system" || role == "user" || role == "assistant" || role == "tool";
}

absl::Status CheckMessages(const std::vector<Message>& messages) {
  if (messages.empty()) return Bad("messages", "is empty (give at least one user message)");
  if (messages.size() > kMostMessages) {
    return Bad("messages", absl::StrCat("more than ", kMostMessages));
  }
  size_t bytes = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string field = absl::StrCat("messages[", i, "]");
    if (!IsRole(messages[i].role)) {
      return Bad(field + ".role", "unknown (use system, user, assistant or tool)");
    }
    if (!IsValidUtf8(messages[i].content)) return Bad(field + ".content", "is not valid UTF-8");
    bytes += messages[i].content.size();
  }
  if (bytes > kMostBytes) return Bad("messages", absl::StrCat("more than ", kMostBytes, " bytes"));
  const Message& last = messages.back();
  if (last.role != "user" && last.role != "tool") {
    return Bad("messages", "the last one must be of the user or a tool");
  }
  if (last.content.empty()) return Bad("messages", "the last one is empty");
  return absl::OkStatus();
}

absl::Status CheckSampling(const SamplingParams& sampling) {
  // Written so that NaN fails.
  if (!(sampling.temperature >= 0 && sampling.temperature <= 100)) {
    return Bad("sampling.temperature", "must be in [0, 100]");
  }
  if (sampling.top_k < 0) return Bad("sampling.top_k", "must be >= 0");
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) {
    return Bad("sampling.top_p", "must be in (0, 1]");
  }
  if (!(sampling.min_p >= 0 && sampling.min_p < 1)) {
    return Bad("sampling.min_p", "must be in [0, 1)");
  }
  if (!(sampling.repetition_penalty >= kLeastPenalty &&
        sampling.repetition_penalty <= kMostPenalty)) {
    return Bad("sampling.repetition_penalty",
               absl::StrCat("must be in [", kLeastPenalty, ", ", kMostPenalty, "]"));
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const RequestOptions& options) {
  if (options.route && *options.route != Route::kNear && *options.route != Route::kFar) {
    return Bad("options.route", "must be near or far");
  }
  if (options.max_cost_usd &&
      !(*options.max_cost_usd >= 0 && std::isfinite(*options.max_cost_usd))) {
    return Bad("options.max_cost_usd", "must be a number >= 0");
  }
  if (options.max_ttft && *options.max_ttft < absl::ZeroDuration()) {
    return Bad("options.max_ttft", "must be >= 0");
  }
  if (options.min_confidence && !(*options.min_confidence >= 0 && *options.min_confidence <= 1)) {
    return Bad("options.min_confidence", "must be in [0, 1]");
  }
  return absl::OkStatus();
}

absl::Status CheckStops(const std::vector<std::string>& stops) {
  if (stops.size() > kMostStops) return Bad("stop", absl::StrCat("more than ", kMostStops));
  for (const std::string& stop : stops) {
    if (stop.empty() || stop.size() > kMostStopBytes || !IsValidUtf8(stop)) {
      return Bad("stop", absl::StrCat("each must be UTF-8 of 1 to ", kMostStopBytes, " bytes"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSessionKey(const std::string& session_key) {
  if (session_key.size() <= kMostNameBytes && IsValidUtf8(session_key)) return absl::OkStatus();
  return Bad("session_key", absl::StrCat("must be UTF-8 of at most ", kMostNameBytes, " bytes"));
}

absl::Status CheckQuery(const Query& query) {
  if (query.id.size() > kMostNameBytes || !IsValidUtf8(query.id)) {
    return Bad("id", absl::StrCat("must be UTF-8 of at most ", kMostNameBytes, " bytes"));
  }
  if (query.max_tokens < 0 || query.max_tokens > kMostTokens) {
    return Bad("max_tokens", absl::StrCat("must be in [0, ", kMostTokens, "]"));
  }
  absl::Status checked = CheckSessionKey(query.session_key);
  if (checked.ok()) checked = CheckMessages(query.messages);
  if (checked.ok()) checked = CheckSampling(query.sampling);
  if (checked.ok()) checked = CheckStops(query.stop);
  if (checked.ok()) checked = CheckOptions(query.options);
  return checked;
}

}  // namespace nearfar::internal
