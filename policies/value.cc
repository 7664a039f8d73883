#include "policies/value.h"

#include <algorithm>

namespace nearfar {
namespace {

constexpr double kPerMillion = 1e-6;

// Seconds that near still needs; empty where a speed that matters is unknown.
std::optional<double> NearSeconds(const Signals& signals, const ExpectedTokens& tokens) {
  double seconds = 0;
  if (tokens.remaining > 0) {
    const std::optional<double> speed = signals.near.decode_tokens_per_second;
    if (!speed || *speed <= 0) return std::nullopt;
    seconds += tokens.remaining / *speed;
  }
  if (!signals.draft) {
    const std::optional<double> speed = signals.near.prefill_tokens_per_second;
    if (!speed || *speed <= 0) return std::nullopt;
    seconds += tokens.prompt / *speed;
  }
  return seconds;
}

double FarSeconds(const FarSignals& far, double completion) {
  return far.ttft_seconds + completion / std::max(far.tokens_per_second, 1e-3);
}

double ExpectedBill(const FarSignals& far, const ExpectedTokens& tokens) {
  return kPerMillion *
         (tokens.prompt * far.input_usd_per_mtok + tokens.completion * far.output_usd_per_mtok);
}

}  // namespace

ExpectedTokens ExpectTokens(const PolicyConfig& config, const Signals& signals) {
  ExpectedTokens expected;
  const int64_t bytes = std::max(signals.prompt.bytes, signals.prompt.conversation_bytes);
  expected.prompt = signals.prompt.tokens ? static_cast<double>(*signals.prompt.tokens)
                                          : static_cast<double>(bytes) / kBytesPerToken;
  const Calibration* calibration = config.near.calibration.get();
  // Another model's answers are as long as they are.
  const bool fits = calibration != nullptr && calibration->BelongsTo(signals.near.binding);
  const double median = fits ? calibration->median_tokens : 0;
  expected.completion = median > 0 ? median : kDefaultCompletionTokens;
  expected.completion = std::min<double>(expected.completion, signals.request.max_tokens);
  expected.remaining = expected.completion;
  if (!signals.draft) return expected;
  if (signals.draft->finished) {
    expected.remaining = 0;
    return expected;
  }
  // A draft that outlives the median is expected to go on for half of what it has (an answer's
  // length has a heavy tail), never beyond the limit.
  const double written = signals.draft->tokens;
  const double rest = std::max(expected.completion - written, written / 2);
  const double room = std::max<double>(signals.request.max_tokens - written, 0);
  expected.remaining = std::min(rest, room);
  return expected;
}

NetValue ValueOf(const PolicyConfig& config, const Signals& signals, const FarSignals& far,
                 std::optional<double> p_near, double p_far) {
  const ExpectedTokens tokens = ExpectTokens(config, signals);
  const double second_usd = config.value.second_usd;
  const double joule_usd = config.value.joule_usd;
  NetValue value;
  value.p_near = p_near.value_or(0);
  value.p_far = p_far;
  value.gain_usd = config.value.right_answer_usd * (p_far - value.p_near);
  value.price_usd = signals.budget.pacing_price * ExpectedBill(far, tokens);
  value.far_seconds = FarSeconds(far, tokens.completion);
  value.near_seconds = NearSeconds(signals, tokens);
  // An unknown speed must not count as instant: it is taken as the other side's.
  const double near_seconds = value.near_seconds.value_or(value.far_seconds);
  const double far_joules = value.far_seconds * config.value.radio_watts;
  const double near_joules = near_seconds * config.value.device_watts;
  value.latency_usd = second_usd * (value.far_seconds - near_seconds);
  value.energy_usd = joule_usd * (far_joules - near_joules);
  value.net_usd = value.gain_usd - value.price_usd - value.latency_usd - value.energy_usd;
  value.far_usd = value.price_usd + second_usd * value.far_seconds + joule_usd * far_joules;
  value.near_usd = second_usd * near_seconds + joule_usd * near_joules;
  return value;
}

std::vector<Term> TermsOf(const NetValue& value, bool p_near_known) {
  std::vector<Term> terms;
  if (p_near_known) terms.push_back({"p_near", value.p_near, "probability"});
  terms.push_back({"p_far", value.p_far, "probability"});
  if (p_near_known) terms.push_back({"gain_usd", value.gain_usd, "usd"});
  terms.push_back({"price_usd", value.price_usd, "usd"});
  terms.push_back({"latency_usd", value.latency_usd, "usd"});
  if (value.energy_usd != 0) terms.push_back({"energy_usd", value.energy_usd, "usd"});
  if (p_near_known) terms.push_back({"net_usd", value.net_usd, "usd"});
  terms.push_back({"far_seconds", value.far_seconds, "s"});
  if (value.near_seconds) terms.push_back({"near_seconds", *value.near_seconds, "s"});
  return terms;
}

}  // namespace nearfar
