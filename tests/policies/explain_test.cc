#include "policies/explain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "tests/policies/signals_for_tests.h"

namespace nearfar {
namespace {

Route RouteOf(const Policy& policy, const Signals& signals) {
  return signals.draft ? policy.Reconsider(signals).route : policy.Choose(signals).route;
}

// The decision with one input at x, set here by hand and not by Explain's own setters.
Route RouteWith(const std::string& input, double x, PolicyConfig config, Signals signals) {
  if (input == "near.p_right") signals.near.p_right = x;
  if (input == "near.decode_tokens_per_second") signals.near.decode_tokens_per_second = x;
  if (input == "budget.remaining_usd") signals.budget.limit_usd = signals.budget.spent_usd + x;
  if (input == "budget.pacing_price") signals.budget.pacing_price = x;
  if (input == "device.battery") signals.device.battery = x;
  if (input == "device.cpu_load") signals.device.cpu_load = x;
  if (input == "prompt.tokens") signals.prompt.tokens = static_cast<int64_t>(x);
  if (input == "far.home.ttft_seconds") signals.far[0].ttft_seconds = x;
  if (input == "far.home.input_usd_per_mtok") signals.far[0].input_usd_per_mtok = x;
  if (input == "far.home.output_usd_per_mtok") signals.far[0].output_usd_per_mtok = x;
  if (input == "policy.threshold") config.choose.threshold = x;
  if (input == "policy.margin_usd") config.choose.margin_usd = x;
  if (input == "policy.min_confidence") config.draft.min_confidence = x;
  if (input == "policy.battery_floor") config.device.battery_floor = x;
  if (input == "policy.right_answer_usd") config.value.right_answer_usd = x;
  if (input == "policy.second_usd") config.value.second_usd = x;
  return RouteOf(*MustMake(config), signals);
}

// Applying each flip changes the route as it says; just before it, nothing changes.
std::set<std::string> CheckFlips(const PolicyConfig& config, const Signals& signals) {
  const auto policy = MustMake(config);
  const Decision decision = Explain(*policy, signals);
  EXPECT_EQ(decision.route, RouteOf(*policy, signals));
  std::set<std::string> inputs;
  for (const Flip& flip : decision.flips) {
    EXPECT_TRUE(inputs.insert(flip.input).second) << flip.input;
    EXPECT_NE(flip.to, decision.route) << flip.input;
    EXPECT_EQ(RouteWith(flip.input, flip.flips_at, config, signals), flip.to) << flip.input;
    double before = flip.flips_at - 1e-6 * (flip.flips_at - flip.current);
    if (flip.input == "prompt.tokens")
      before = flip.flips_at > flip.current ? flip.flips_at - 1 : flip.flips_at + 1;
    EXPECT_EQ(RouteWith(flip.input, before, config, signals), decision.route)
        << flip.input << " " << flip.current << " -> " << flip.flips_at;
  }
  for (size_t i = 1; i < decision.flips.size(); ++i) {
    const auto distance = [](const Flip& f) {
      return std::abs(f.flips_at - f.current) / (std::abs(f.flips_at) + std::abs(f.current));
    };
    EXPECT_LE(distance(decision.flips[i - 1]), distance(decision.flips[i]) + 1e-12);
  }
  return inputs;
}

struct Situation {
  PolicyConfig config = ConfigOf(PolicyKind::kNetValue);
  Signals signals = PlainSignals();
  Situation() {
    config.near.calibration = CalibrationOf(0.5, 0.5, 0.5);
    config.device.battery_floor = 0.2;
    signals.near.binding = TestBinding();
    signals.device.battery = 0.7;
    signals.budget.limit_usd = 1;
    signals.budget.spent_usd = 0.25;
  }
};

TEST(Explain, NetValueFlipsByMoneyTimeAndChance) {
  Situation at;
  at.signals.near.decode_tokens_per_second = 30;
  const std::set<std::string> inputs = CheckFlips(at.config, at.signals);
  for (const char* input : {"near.p_right", "policy.margin_usd", "policy.right_answer_usd",
                            "budget.remaining_usd", "budget.pacing_price", "far.home.ttft_seconds",
                            "far.home.output_usd_per_mtok", "prompt.tokens"}) {
    EXPECT_TRUE(inputs.count(input)) << input;
  }
  EXPECT_FALSE(inputs.count("device.battery"));  // far already: battery changes nothing
}

TEST(Explain, ANearDecisionFlipsByBattery) {
  Situation at;
  at.config.near.calibration = CalibrationOf(0.95, 0.95, 0.05);
  const std::set<std::string> inputs = CheckFlips(at.config, at.signals);
  EXPECT_TRUE(inputs.count("device.battery"));
  EXPECT_TRUE(inputs.count("policy.battery_floor"));
  EXPECT_TRUE(inputs.count("near.p_right"));
  const Decision decision = Explain(*MustMake(at.config), at.signals);
  for (const Flip& flip : decision.flips) {
    if (flip.input != "device.battery") continue;
    EXPECT_NEAR(flip.flips_at, 0.2, 1e-6);
    EXPECT_EQ(flip.current, 0.7);
    EXPECT_EQ(flip.to, Route::kFar);
  }
}

TEST(Explain, ThresholdFlipsAtTheProbability) {
  Situation at;
  at.config.choose.kind = PolicyKind::kThreshold;
  at.config.choose.threshold = 0.8;
  const Decision decision = Explain(*MustMake(at.config), at.signals);
  CheckFlips(at.config, at.signals);
  bool seen = false;
  for (const Flip& flip : decision.flips) {
    if (flip.input == "policy.threshold") {
      seen = true;
      EXPECT_NEAR(flip.flips_at, 0.5, 1e-6);
    } else if (flip.input == "near.p_right") {
      EXPECT_NEAR(flip.flips_at, 0.8, 1e-6);
    }
  }
  EXPECT_TRUE(seen);
}

TEST(Explain, ARuleOnAWholeNumberFlipsAtTheNextToken) {
  Situation at;
  at.config.choose.kind = PolicyKind::kFixed;
  RuleConfig rule;
  rule.name = "long";
  rule.when.kind = RuleCondition::Kind::kSignal;
  rule.when.signal = "prompt_tokens";
  rule.when.above = 1000;
  rule.route = Route::kFar;
  at.config.rules.push_back(rule);
  CheckFlips(at.config, at.signals);
  const Decision decision = Explain(*MustMake(at.config), at.signals);
  ASSERT_FALSE(decision.flips.empty());
  bool seen = false;
  for (const Flip& flip : decision.flips) {
    if (flip.input != "prompt.tokens") continue;
    seen = true;
    EXPECT_EQ(flip.flips_at, 1001);
  }
  EXPECT_TRUE(seen);
}

TEST(Explain, AfterTheDraft) {
  Situation at;
  at.config.choose.kind = PolicyKind::kCascade;
  at.config.draft.min_confidence = 0.4;
  at.signals.draft = DraftOf(50, true);
  const std::set<std::string> inputs = CheckFlips(at.config, at.signals);
  EXPECT_TRUE(inputs.count("policy.min_confidence"));
  EXPECT_TRUE(inputs.count("near.p_right"));
}

TEST(Explain, DuringTheDraft) {
  Situation at;
  at.config.choose.kind = PolicyKind::kCascade;
  at.config.draft.min_confidence = 0.5;
  at.config.near.calibration = CalibrationOf(0.5, 0.5, 0.9);
  at.signals.draft = DraftOf(16, false);
  at.signals.draft->doubtful_windows = 1;
  ASSERT_EQ(RouteOf(*MustMake(at.config), at.signals), Route::kFar);
  const std::set<std::string> inputs = CheckFlips(at.config, at.signals);
  EXPECT_TRUE(inputs.count("policy.min_confidence"));
  EXPECT_FALSE(inputs.count("near.p_right"));  // of the finished draft: there is none yet
}

// To state P(near right) as an application would judges drafts that this calibration cannot judge,
// whatever is stated: no number of it tells of a flip.
TEST(Explain, WithoutADraftHeadTheChanceIsNoDial) {
  Situation at;
  at.config.choose.kind = PolicyKind::kCascade;
  auto calibration = CalibrationOf(0.6, 0.6, 0.5);
  calibration->draft.reset();
  at.config.near.calibration = calibration;
  const Decision decision = Explain(*MustMake(at.config), at.signals);
  EXPECT_EQ(decision.route, Route::kNear);
  EXPECT_TRUE(decision.confidence.has_value());
  EXPECT_FALSE(CheckFlips(at.config, at.signals).count("near.p_right"));
}

TEST(Explain, UnderTaintNothingFlipsToFar) {
  Situation at;
  at.signals.tainted = true;
  const Decision decision = Explain(*MustMake(at.config), at.signals);
  for (const Flip& flip : decision.flips) {
    // A prompt that outgrows near's context is refused; it never leaves.
    EXPECT_EQ(flip.input, "prompt.tokens");
    EXPECT_EQ(flip.to, Route::kRefuse);
  }
}

TEST(Explain, HoldsOverManySituations) {
  for (PolicyKind kind :
       {PolicyKind::kFixed, PolicyKind::kThreshold, PolicyKind::kNetValue, PolicyKind::kCascade}) {
    for (double p : {0.05, 0.6, 0.93}) {
      for (bool finished : {false, true}) {
        Situation at;
        at.config.choose.kind = kind;
        at.config.choose.threshold = 0.7;
        at.config.near.calibration = CalibrationOf(p, p, 0.5);
        if (finished) at.signals.draft = DraftOf(30, true);
        CheckFlips(at.config, at.signals);
      }
    }
  }
}

}  // namespace
}  // namespace nearfar
