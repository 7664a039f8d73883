#include "local_engine/generation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace nearfar {
namespace {

double SecondsBetween(std::chrono::steady_clock::time_point from,
                      std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

Generation::Generation(GenerateRequest request, std::shared_ptr<GenerateSink> sink,
                       const Tokenizer& tokenizer, int context)
    : tokenizer_(tokenizer),
      context_(context),
      max_tokens_(request.max_tokens),
      sink_(std::move(sink)),
      tokens_(std::move(request.prompt)),
      sampler_(request.sampling),
      text_(request.stop) {
  result_.prompt_tokens = static_cast<int>(tokens_.size());
}

void Generation::Begin(int reused) {
  begun_ = Clock::now();
  result_.reused_tokens = reused;
}

void Generation::PrefillDone() {
  prefilled_ = Clock::now();
  sink_->OnPrefill(result_.prompt_tokens, result_.reused_tokens);
}

std::optional<StopReason> Generation::Take(absl::Span<const float> logits,
                                           const LogitStats& stats) {
  if (cancelled()) return StopReason::kCancelled;
  if (!prefilled_) PrefillDone();
  if (cancelled()) return StopReason::kCancelled;  // from OnPrefill
  if (!stats.finite) {
    result_.status = absl::DataLossError(
        absl::StrCat("the logits behind token ", tokens_.size(),
                     " are not finite: the model's weights are damaged (verify the file)"));
    return StopReason::kError;
  }
  const int32_t id = sampler_.Pick(logits, stats, tokens_);
  if (tokenizer_.IsEndOfText(id)) return StopReason::kEndOfText;
  Append(id, stats, logits[id]);
  if (!text_.holding()) Deliver();
  if (cancelled()) return StopReason::kCancelled;
  if (text_.stopped()) return StopReason::kStopString;
  if (result_.completion_tokens >= max_tokens_) return StopReason::kMaxTokens;
  if (static_cast<int>(tokens_.size()) > context_) return StopReason::kContextFull;
  return std::nullopt;
}

void Generation::Append(int32_t id, const LogitStats& stats, float logit) {
  tokens_.push_back(id);
  ++result_.completion_tokens;
  Token token;
  token.id = id;
  token.text = text_.Push(tokenizer_.Bytes(id));
  token.logprob = std::min(0.0f, static_cast<float>(stats.Logprob(logit)));
  token.entropy = std::max(0.0f, static_cast<float>(stats.entropy));
  token.margin = std::clamp(static_cast<float>(stats.margin), 0.0f, 1.0f);
  waiting_.push_back(std::move(token));
}

void Generation::Deliver() {
  for (const Token& token : waiting_) {
    if (cancelled()) break;
    sink_->OnToken(token);
  }
  waiting_.clear();
}

void Generation::Close(StopReason reason, absl::Status status) {
  const Clock::time_point now = Clock::now();
  result_.reason = reason;
  result_.status.Update(status);
  if (prefilled_) {
    result_.prefill_seconds = SecondsBetween(*begun_, *prefilled_);
    result_.decode_seconds = SecondsBetween(*prefilled_, now);
  } else if (begun_) {
    result_.prefill_seconds = SecondsBetween(*begun_, now);
  }
  if (reason == StopReason::kCancelled || waiting_.empty()) return;
  waiting_.back().text += text_.Flush();
  Deliver();
}

void Generation::Announce() {
  const std::shared_ptr<GenerateSink> sink = std::move(sink_);
  sink->OnDone(result_);
}

}  // namespace nearfar
