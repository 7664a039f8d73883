// Every kind through the same situations, and the list itself.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "policies/kinds/all_kinds.h"
#include "tests/policies/signals_for_tests.h"

namespace nearfar {
namespace {

TEST(AllKinds, UniqueAndComplete) {
  std::set<std::string> names;
  std::set<PolicyKind> kinds;
  for (const KindEntry& entry : AllKinds()) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    EXPECT_TRUE(kinds.insert(entry.kind).second) << entry.name;
    EXPECT_NE(entry.make(), nullptr) << entry.name;
  }
  EXPECT_EQ(kinds, (std::set<PolicyKind>{PolicyKind::kFixed, PolicyKind::kThreshold,
                                         PolicyKind::kNetValue, PolicyKind::kCascade}));
}

PolicyConfig Calibrated(PolicyKind kind, double prompt_near, double draft) {
  PolicyConfig config = ConfigOf(kind);
  config.near.calibration = CalibrationOf(prompt_near, draft, 0.5);
  return config;
}

Signals BoundSignals() {
  Signals s = PlainSignals();
  s.near.binding = TestBinding();
  return s;
}

Signals Finished() {
  Signals s = BoundSignals();
  s.draft = DraftOf(40, true);
  return s;
}

class EveryKind : public testing::TestWithParam<PolicyKind> {};

TEST_P(EveryKind, WithoutProbabilitiesWhenUnknownActs) {
  if (GetParam() == PolicyKind::kFixed) return;  // asks for none
  for (Route route : {Route::kNear, Route::kFar, Route::kDraft}) {
    PolicyConfig config = ConfigOf(GetParam());
    config.near.when_unknown = route;
    const auto policy = MustMake(config);
    const Decision decision = policy->Choose(BoundSignals());
    EXPECT_EQ(decision.route, route);
    EXPECT_EQ(decision.reason, Reason::kUncalibrated);
    EXPECT_EQ(decision.confidence, std::nullopt);
    const Decision after = policy->Reconsider(Finished());
    EXPECT_EQ(after.route, route == Route::kFar ? Route::kFar : Route::kNear);
    EXPECT_EQ(after.reason, Reason::kUncalibrated);
    EXPECT_EQ(after.confidence, std::nullopt);
  }
}

TEST_P(EveryKind, AnAcceptedDraftStaysARejectedOneGoesFar) {
  PolicyConfig config = Calibrated(GetParam(), 0.5, 0.6);
  config.draft.min_confidence = 0.6 - 1e-9;
  Decision decision = MustMake(config)->Reconsider(Finished());
  EXPECT_EQ(decision.route, Route::kNear);
  EXPECT_EQ(decision.reason, Reason::kDraftAccepted);
  EXPECT_NEAR(*decision.confidence, 0.6, 1e-9);
  config.draft.min_confidence = 0.6 + 1e-9;
  decision = MustMake(config)->Reconsider(Finished());
  EXPECT_EQ(decision.route, Route::kFar);
  EXPECT_EQ(decision.reason, Reason::kDraftRejected);
  EXPECT_EQ(decision.target, "home");
  EXPECT_NEAR(*decision.score, 0.6, 1e-9);
  EXPECT_GT(decision.max_cost_usd, 0);
}

TEST_P(EveryKind, AcceptsFromLeastAcceptedOnAndNotBelow) {
  std::unique_ptr<const Kind> kind;
  for (const KindEntry& entry : AllKinds()) {
    if (entry.kind == GetParam()) kind = entry.make();
  }
  for (std::optional<double> configured : {std::optional<double>(), std::optional<double>(0.7)}) {
    for (std::optional<double> asked : {std::optional<double>(), std::optional<double>(0.85)}) {
      PolicyConfig config = ConfigOf(GetParam());
      config.draft.min_confidence = configured;
      Signals s = Finished();
      s.request.min_confidence = asked;
      for (int i = 1; i < 40; ++i) {
        const double p = i / 40.0 + 1e-3;
        FarOption option;
        option.far = &s.far[0];
        option.value = ValueOf(config, s, s.far[0], p, 0.9);
        const Evidence evidence{config, s, p, true, &option};
        EXPECT_EQ(kind->Judge(evidence).route == Route::kNear, p >= kind->LeastAccepted(evidence))
            << p << " " << configured.value_or(-1) << " " << asked.value_or(-1);
      }
    }
  }
}

TEST_P(EveryKind, TheRequestsConfidenceOnlyTightens) {
  PolicyConfig config = Calibrated(GetParam(), 0.9, 0.9);
  config.draft.min_confidence = 0.95;
  Signals s = Finished();
  s.request.min_confidence = 0.1;
  EXPECT_EQ(MustMake(config)->Reconsider(s).route, Route::kFar);
  config.draft.min_confidence = 0.5;
  s.request.min_confidence = 0.95;
  EXPECT_EQ(MustMake(config)->Reconsider(s).route, Route::kFar);
  s.request.min_confidence = 0.6;
  config.choose.threshold = 0.5;
  EXPECT_EQ(MustMake(config)->Reconsider(s).route, Route::kNear);
}

TEST_P(EveryKind, AConfidenceThatIsAskedForButUnknownIsNotMet) {
  Signals s = Finished();
  s.request.min_confidence = 0.5;
  const auto policy = MustMake(ConfigOf(GetParam()));
  EXPECT_EQ(policy->Reconsider(s).route, Route::kFar);
  s.far[0].health = Health::kUnreachable;
  const Decision decision = policy->Reconsider(s);
  EXPECT_EQ(decision.route, Route::kNear);
  EXPECT_TRUE(decision.flagged);
}

TEST_P(EveryKind, RiskControlledAcceptanceTakesTheCalibrationsThreshold) {
  PolicyConfig config = Calibrated(GetParam(), 0.5, 0.85);
  config.draft.max_wrong_accepted = 0.10;  // P >= 0.8
  EXPECT_EQ(MustMake(config)->Reconsider(Finished()).route, Route::kNear);
  config.draft.max_wrong_accepted = 0.07;  // the next stricter entry: 0.05, P >= 0.9
  EXPECT_EQ(MustMake(config)->Reconsider(Finished()).route, Route::kFar);
  config.draft.max_wrong_accepted = 0.01;  // none is so strict
  EXPECT_FALSE(MakePolicy(config).ok());
}

TEST_P(EveryKind, TheApplicationsOwnJudgeReplacesTheCalibration) {
  PolicyConfig config = ConfigOf(GetParam());
  config.draft.min_confidence = 0.5;
  Signals s = Finished();
  s.near.p_right = 0.7;
  EXPECT_EQ(MustMake(config)->Reconsider(s).route, Route::kNear);
  s.near.p_right = 0.3;
  EXPECT_EQ(MustMake(config)->Reconsider(s).route, Route::kFar);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryKind,
                         testing::Values(PolicyKind::kFixed, PolicyKind::kThreshold,
                                         PolicyKind::kNetValue, PolicyKind::kCascade));

TEST(Fixed, GoesWhereItIsTold) {
  for (Route route : {Route::kNear, Route::kFar, Route::kDraft}) {
    PolicyConfig config = ConfigOf(PolicyKind::kFixed);
    config.choose.route = route;
    const Decision decision = MustMake(config)->Choose(BoundSignals());
    EXPECT_EQ(decision.route, route);
    EXPECT_EQ(decision.reason, Reason::kFixed);
  }
}

TEST(Fixed, JudgesADraftOnlyWhereItIsAskedTo) {
  PolicyConfig config = Calibrated(PolicyKind::kFixed, 0.01, 0.01);
  config.choose.route = Route::kDraft;
  EXPECT_EQ(MustMake(config)->Reconsider(Finished()).route, Route::kNear);
  config.draft.min_confidence = 0.5;
  EXPECT_EQ(MustMake(config)->Reconsider(Finished()).route, Route::kFar);
}

TEST(Threshold, DraftsFromTheThresholdOn) {
  PolicyConfig config = Calibrated(PolicyKind::kThreshold, 0.7, 0.7);
  config.choose.threshold = 0.7 - 1e-9;
  Decision decision = MustMake(config)->Choose(BoundSignals());
  EXPECT_EQ(decision.route, Route::kDraft);
  EXPECT_EQ(decision.reason, Reason::kThreshold);
  EXPECT_EQ(MustMake(config)->Reconsider(Finished()).route, Route::kNear);
  config.choose.threshold = 0.7 + 1e-9;
  decision = MustMake(config)->Choose(BoundSignals());
  EXPECT_EQ(decision.route, Route::kFar);
  EXPECT_EQ(decision.target, "home");
  EXPECT_EQ(MustMake(config)->Reconsider(Finished()).route, Route::kFar);
}

TEST(NetValueKind, GoesFarIffTheNetValueBeatsTheMargin) {
  PolicyConfig config = Calibrated(PolicyKind::kNetValue, 0.2, 0.5);
  const Decision decision = MustMake(config)->Choose(BoundSignals());
  EXPECT_EQ(decision.route, Route::kFar);
  EXPECT_EQ(decision.reason, Reason::kNetValue);
  ASSERT_TRUE(decision.score.has_value());
  config.choose.margin_usd = *decision.score + 1e-9;
  EXPECT_EQ(MustMake(config)->Choose(BoundSignals()).route, Route::kDraft);
  config.choose.margin_usd = *decision.score - 1e-9;
  EXPECT_EQ(MustMake(config)->Choose(BoundSignals()).route, Route::kFar);
}

TEST(NetValueKind, SmallGainAndDearPriceStayNear) {
  PolicyConfig config = Calibrated(PolicyKind::kNetValue, 0.8, 0.8);
  config.value.second_usd = 0;
  Signals s = BoundSignals();
  s.far[0].input_usd_per_mtok = 10;
  s.far[0].output_usd_per_mtok = 30;
  EXPECT_EQ(MustMake(config)->Choose(s).route, Route::kDraft);
  s.draft = DraftOf(40, true);
  EXPECT_EQ(MustMake(config)->Reconsider(s).route, Route::kNear);
}

TEST(NetValueKind, TakesTheBestOfSeveralTargets) {
  PolicyConfig config = Calibrated(PolicyKind::kNetValue, 0.1, 0.1);
  config.far.push_back(FarNamed("dear"));
  config.far.push_back(FarNamed("slow"));
  Signals s = BoundSignals();
  s.far.push_back(s.far[0]);
  s.far[1].name = "dear";
  s.far[1].output_usd_per_mtok = 100;
  s.far.push_back(s.far[0]);
  s.far[2].name = "slow";
  s.far[2].ttft_seconds = 30;
  EXPECT_EQ(MustMake(config)->Choose(s).target, "home");
  s.far[2].prior_right = 1;
  config.value.second_usd = 0;
  EXPECT_EQ(MustMake(config)->Choose(s).target, "slow");
  s.far[2].health = Health::kBreakerOpen;
  EXPECT_EQ(MustMake(config)->Choose(s).target, "home");
}

TEST(NetValueKind, PFarComesFromTheTargetsOwnHead) {
  PolicyConfig config = ConfigOf(PolicyKind::kNetValue);
  auto calibration = CalibrationOf(0.5, 0.5, 0.5);
  calibration->prompt_far.push_back({"big", "v1", ConstantHead(0.3)});
  config.near.calibration = calibration;
  Signals s = BoundSignals();
  const auto p_far = [&] {
    for (const Term& term : MustMake(config)->Choose(s).terms) {
      if (term.name == "p_far") return term.value;
    }
    return -1.0;
  };
  EXPECT_NEAR(p_far(), 0.85, 1e-9);  // no head for this model: its prior
  s.far[0].model = "big";
  EXPECT_NEAR(p_far(), 0.3, 1e-9);
  s.far[0].fingerprint = "v1";
  EXPECT_NEAR(p_far(), 0.3, 1e-9);
  s.far[0].fingerprint = "v2";  // another version: the estimate is void
  EXPECT_NEAR(p_far(), 0.85, 1e-9);
  s.far[0].fingerprint = "v1";
  s.near.binding.fingerprint = "another near model";  // which has no part in it
  EXPECT_NEAR(p_far(), 0.3, 1e-9);
  s.near.binding = ModelBinding();  // nothing is told: the features are this build's
  EXPECT_NEAR(p_far(), 0.3, 1e-9);
  s.near.binding.feature_version = kFeatureVersion + 1;  // other features
  EXPECT_NEAR(p_far(), 0.85, 1e-9);
}

TEST(Cascade, AlwaysDraftsFirst) {
  for (double p : {0.01, 0.99}) {
    const auto policy = MustMake(Calibrated(PolicyKind::kCascade, p, p));
    const Decision decision = policy->Choose(BoundSignals());
    EXPECT_EQ(decision.route, Route::kDraft);
    EXPECT_EQ(decision.reason, Reason::kCascade);
    EXPECT_EQ(decision.target, "home");
    EXPECT_EQ(policy->Reconsider(Finished()).route, p < 0.5 ? Route::kFar : Route::kNear);
  }
}

}  // namespace
}  // namespace nearfar
