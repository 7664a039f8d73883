#include "policies/value.h"

#include <gtest/gtest.h>

#include "tests/policies/signals_for_tests.h"

namespace nearfar {
namespace {

// Completion 100 by the calibration; prompt 100 tokens.
PolicyConfig Config() {
  PolicyConfig config = ConfigOf(PolicyKind::kNetValue);
  config.near.calibration = CalibrationOf(0.5, 0.5, 0.5);
  return config;
}

// The plain situation, with the model that the calibration was fitted for.
Signals BoundSignals() {
  Signals s = PlainSignals();
  s.near.binding = TestBinding();
  return s;
}

TEST(NetValue, BeforeTheDraftByHand) {
  PolicyConfig config = Config();
  config.value.joule_usd = 1e-5;
  Signals s = BoundSignals();
  s.budget.pacing_price = 2;
  const NetValue v = ValueOf(config, s, s.far[0], 0.4, 0.9);
  const double far_seconds = 1 + 100.0 / 30, near_seconds = 100.0 / 200 + 100.0 / 20;
  EXPECT_NEAR(v.gain_usd, 0.004 * 0.5, 1e-12);
  EXPECT_NEAR(v.price_usd, 2 * (100 * 1 + 100 * 4) * 1e-6, 1e-12);
  EXPECT_NEAR(v.far_seconds, far_seconds, 1e-12);
  EXPECT_NEAR(*v.near_seconds, near_seconds, 1e-12);
  EXPECT_NEAR(v.latency_usd, 0.0005 * (far_seconds - near_seconds), 1e-12);
  EXPECT_NEAR(v.energy_usd, 1e-5 * (far_seconds * 1 - near_seconds * 4), 1e-12);
  EXPECT_NEAR(v.net_usd, v.gain_usd - v.price_usd - v.latency_usd - v.energy_usd, 1e-15);
}

TEST(NetValue, AfterTheDraftIsTheEscalationRule) {
  // net > 0  <=>  p_err > 1 - p_far + (lambda price + waiting) / v, near's cost being sunk.
  const PolicyConfig config = Config();
  Signals s = BoundSignals();
  s.draft = DraftOf(60, true);
  const double p_far = 0.85;
  const NetValue at = ValueOf(config, s, s.far[0], 0.5, p_far);
  EXPECT_EQ(at.near_seconds, std::optional<double>(0));
  const double bound =
      1 - p_far + (at.price_usd + config.value.second_usd * at.far_seconds) / 0.004;
  for (double shift : {-1e-6, 1e-6}) {
    const NetValue v = ValueOf(config, s, s.far[0], 1 - (bound + shift), p_far);
    EXPECT_EQ(v.net_usd > 0, shift > 0);
  }
}

TEST(NetValue, UnknownSpeedIsTakenAsTheOthers) {
  Signals s = BoundSignals();
  s.near.decode_tokens_per_second.reset();
  const NetValue v = ValueOf(Config(), s, s.far[0], 0.5, 0.9);
  EXPECT_FALSE(v.near_seconds.has_value());
  EXPECT_EQ(v.latency_usd, 0);
}

TEST(ExpectTokens, PromptByCountOrByBytes) {
  Signals s = BoundSignals();
  s.prompt.conversation_bytes = 1200;
  EXPECT_EQ(ExpectTokens(Config(), s).prompt, 100);
  s.prompt.tokens.reset();
  EXPECT_EQ(ExpectTokens(Config(), s).prompt, 300);
  s.prompt.conversation_bytes = 0;
  EXPECT_EQ(ExpectTokens(Config(), s).prompt, 100);
}

TEST(ExpectTokens, CompletionByCalibrationDefaultAndLimit) {
  Signals s = BoundSignals();
  EXPECT_EQ(ExpectTokens(Config(), s).completion, 100);
  s.near.binding.fingerprint = "x";  // another model's answers are of another length
  EXPECT_EQ(ExpectTokens(Config(), s).completion, kDefaultCompletionTokens);
  EXPECT_EQ(ExpectTokens(ConfigOf(PolicyKind::kFixed), s).completion, kDefaultCompletionTokens);
  s.request.max_tokens = 10;
  EXPECT_EQ(ExpectTokens(Config(), s).completion, 10);
}

TEST(ExpectTokens, RemainingShrinksAndThenFollowsTheTail) {
  Signals s = BoundSignals();
  EXPECT_EQ(ExpectTokens(Config(), s).remaining, 100);
  const std::pair<int, double> kCases[] = {{20, 80}, {60, 40}, {150, 75}, {200, 56}, {256, 0}};
  for (const auto& [tokens, remaining] : kCases) {
    s.draft = DraftOf(tokens, false);
    EXPECT_EQ(ExpectTokens(Config(), s).remaining, remaining) << tokens;
  }
  s.draft = DraftOf(60, true);
  EXPECT_EQ(ExpectTokens(Config(), s).remaining, 0);
}

TEST(TermsOf, LeavesOutWhatIsUnknown) {
  const Signals s = BoundSignals();
  const NetValue v = ValueOf(Config(), s, s.far[0], std::nullopt, 0.9);
  for (const Term& term : TermsOf(v, false)) {
    EXPECT_NE(term.name, "p_near");
    EXPECT_NE(term.name, "gain_usd");
    EXPECT_NE(term.name, "net_usd");
  }
  EXPECT_EQ(TermsOf(v, true)[0].name, "p_near");
}

}  // namespace
}  // namespace nearfar
