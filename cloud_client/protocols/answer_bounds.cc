#include "cloud_client/protocols/answer_bounds.h"

#include <algorithm>

namespace nearfar {
namespace {

// No vocabulary in use has a token of more bytes.
constexpr int64_t kBytesPerToken = 512;
constexpr int64_t kBytesAtLeast = 64 << 10;
constexpr int64_t kBytesAtMost = 16 << 20;

// A server may send bytes one by one, and empty events to show that it lives.
constexpr int64_t kEventsPerToken = 16;
constexpr int64_t kEventsAtLeast = 16 << 10;

// What a server may add to a prompt: a template, a system prompt of its own.
constexpr int64_t kHiddenPromptTokens = 8192;
constexpr int64_t kTokensPerTurn = 16;
// End-of-text tokens and the like, which some servers count.
constexpr int64_t kHiddenCompletionTokens = 64;
constexpr int64_t kServersOwnMaximum = 1 << 20;  // where the call names none

// A price may have risen since the policy was written, but not to anything.
constexpr double kBillFactor = 10;
constexpr double kBillAtLeast = 1;  // USD; where the policy knows no price
constexpr double kPerMillion = 1e-6;

int64_t PromptTokens(const CloudRequest& call) {
  auto bytes = static_cast<int64_t>(call.assistant_prefix.size());
  for (const CloudMessage& message : call.messages) {
    bytes += static_cast<int64_t>(message.role.size() + message.content.size()) + kTokensPerTurn;
  }
  return bytes + kHiddenPromptTokens;
}

}  // namespace

AnswerBounds BoundsOf(const CloudRequest& call, double input_usd_per_mtok,
                      double output_usd_per_mtok) {
  const int64_t tokens = call.max_tokens > 0 ? call.max_tokens : kServersOwnMaximum;
  AnswerBounds bounds;
  bounds.text_bytes = std::min(kBytesAtMost, kBytesAtLeast + kBytesPerToken * tokens);
  bounds.events = kEventsAtLeast + kEventsPerToken * tokens;
  bounds.prompt_tokens = PromptTokens(call);
  bounds.completion_tokens = tokens + kHiddenCompletionTokens;
  const double priced =
      kPerMillion * (static_cast<double>(bounds.prompt_tokens) * input_usd_per_mtok +
                     static_cast<double>(bounds.completion_tokens) * output_usd_per_mtok);
  bounds.bill_usd = std::max(kBillAtLeast, kBillFactor * priced);
  return bounds;
}

int64_t FewestTokens(int64_t pieces, int64_t text_bytes) {
  return std::max(pieces, (text_bytes + kBytesPerToken - 1) / kBytesPerToken);
}

}  // namespace nearfar
