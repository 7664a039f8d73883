// The ladder: what stands above what, and what happens where a route cannot be taken.
#include "policies/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>

#include "tests/policies/signals_for_tests.h"

namespace nearfar {
namespace {

using testing::HasSubstr;

PolicyConfig FixedTo(Route route) {
  PolicyConfig config = ConfigOf(PolicyKind::kFixed);
  config.choose.route = route;
  return config;
}

RuleConfig RuleTo(const std::string& name, std::optional<Route> route, Taint taint = Taint::kNone) {
  RuleConfig rule;
  rule.name = name;
  rule.when.kind = RuleCondition::Kind::kSignal;
  rule.when.signal = "turns";
  rule.when.above = 0;
  rule.route = route;
  rule.taint = taint;
  return rule;
}

TEST(Names, AreUniqueAndStable) {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(Reason::kNearFailed); ++i) {
    EXPECT_TRUE(names.insert(ReasonName(static_cast<Reason>(i))).second) << i;
  }
  EXPECT_EQ(names.count("unknown"), 0u);
  EXPECT_STREQ(ReasonName(Reason::kBudgetSpent), "budget_spent");
  EXPECT_STREQ(RouteName(Route::kDraft), "draft");
  EXPECT_STREQ(HealthName(Health::kBreakerOpen), "breaker_open");
}

// One rung: the plain situation with one change, under a policy that wants far.
struct Rung {
  const char* name;
  std::function<void(Signals*, PolicyConfig*)> change;
  Route route;
  Reason reason;
  bool flagged;
};

const Rung kRungs[] = {
    {"plain", [](Signals*, PolicyConfig*) {}, Route::kFar, Reason::kFixed, false},
    {"tainted", [](Signals* s, PolicyConfig*) { s->tainted = true; }, Route::kNear,
     Reason::kTainted, false},
    {"tainted, though the rule and the request say far",
     [](Signals* s, PolicyConfig* c) {
       s->tainted = true;
       s->request.route = Route::kFar;
       c->rules.push_back(RuleTo("r", Route::kFar));
     },
     Route::kNear, Reason::kTainted, false},
    {"tainted, and the target is the owner's own",
     [](Signals* s, PolicyConfig*) {
       s->tainted = true;
       s->far[0].trust = Trust::kOwner;
     },
     Route::kNear, Reason::kTainted, false},
    {"a rule taints this turn",
     [](Signals*, PolicyConfig* c) {
       c->rules.push_back(RuleTo("far", Route::kFar));
       c->rules.push_back(RuleTo("t", std::nullopt, Taint::kTurn));
     },
     Route::kNear, Reason::kTainted, false},
    {"tainted, and near is not available",
     [](Signals* s, PolicyConfig*) {
       s->tainted = true;
       s->near.available = false;
     },
     Route::kRefuse, Reason::kNearFailed, false},
    {"tainted, and near's context is too short",
     [](Signals* s, PolicyConfig*) {
       s->tainted = true;
       s->prompt.tokens = 5000;
     },
     Route::kRefuse, Reason::kContextTooLong, false},
    {"tainted, hot and empty: still near",
     [](Signals* s, PolicyConfig* c) {
       s->tainted = true;
       s->device.battery = 0.01;
       c->device.battery_floor = 0.2;
     },
     Route::kNear, Reason::kTainted, false},
    {"local only", [](Signals* s, PolicyConfig*) { s->request.local_only = true; }, Route::kNear,
     Reason::kRequest, false},
    {"request near", [](Signals* s, PolicyConfig*) { s->request.route = Route::kNear; },
     Route::kNear, Reason::kRequest, false},
    {"request far", [](Signals* s, PolicyConfig*) { s->request.route = Route::kFar; }, Route::kFar,
     Reason::kRequest, false},
    {"request far against a rule",
     [](Signals* s, PolicyConfig* c) {
       s->request.route = Route::kFar;
       c->rules.push_back(RuleTo("r", Route::kNear));
     },
     Route::kNear, Reason::kRule, false},
    {"request far against a rule that drafts",
     [](Signals* s, PolicyConfig* c) {
       s->request.route = Route::kFar;
       c->rules.push_back(RuleTo("r", Route::kDraft));
     },
     Route::kDraft, Reason::kRule, false},
    {"request far against a policy that keeps all near",
     [](Signals* s, PolicyConfig* c) {
       s->request.route = Route::kFar;
       c->choose.route = Route::kNear;
     },
     Route::kNear, Reason::kFixed, false},
    {"unreachable", [](Signals* s, PolicyConfig*) { s->far[0].health = Health::kUnreachable; },
     Route::kNear, Reason::kOffline, true},
    {"unreachable, refuse",
     [](Signals* s, PolicyConfig* c) {
       s->far[0].health = Health::kUnreachable;
       c->offline = OfflineAnswer::kRefuse;
     },
     Route::kRefuse, Reason::kOffline, true},
    {"unknown health is tried",
     [](Signals* s, PolicyConfig*) { s->far[0].health = Health::kUnknown; }, Route::kFar,
     Reason::kFixed, false},
    {"breaker open", [](Signals* s, PolicyConfig*) { s->far[0].health = Health::kBreakerOpen; },
     Route::kNear, Reason::kBreakerOpen, true},
    {"no far target in the signals", [](Signals* s, PolicyConfig*) { s->far.clear(); },
     Route::kNear, Reason::kOffline, true},
    {"budget spent",
     [](Signals* s, PolicyConfig*) {
       s->budget.limit_usd = 0.5;
       s->budget.spent_usd = 0.5;
     },
     Route::kNear, Reason::kBudgetSpent, true},
    {"budget spent, refuse",
     [](Signals* s, PolicyConfig* c) {
       s->budget.limit_usd = 0;
       c->budget.when_spent = WhenSpent::kRefuse;
     },
     Route::kRefuse, Reason::kBudgetSpent, true},
    {"budget spent, but the target is free",
     [](Signals* s, PolicyConfig*) {
       s->budget.limit_usd = 0;
       s->far[0].input_usd_per_mtok = s->far[0].output_usd_per_mtok = 0;
     },
     Route::kFar, Reason::kFixed, false},
    {"the request pays too little",
     [](Signals* s, PolicyConfig*) { s->request.max_cost_usd = 1e-6; }, Route::kNear,
     Reason::kRequest, true},
    {"far's context is too short", [](Signals* s, PolicyConfig*) { s->far[0].context_tokens = 90; },
     Route::kNear, Reason::kContextTooLong, true},
    {"near's context is too short",
     [](Signals* s, PolicyConfig* c) {
       s->prompt.tokens = 3000;
       c->choose.route = Route::kNear;
     },
     Route::kFar, Reason::kContextTooLong, false},
    {"both contexts are too short", [](Signals* s, PolicyConfig*) { s->prompt.tokens = 100000; },
     Route::kRefuse, Reason::kContextTooLong, false},
    {"near's context is too short, and a rule keeps it near",
     [](Signals* s, PolicyConfig* c) {
       s->prompt.tokens = 3000;
       c->rules.push_back(RuleTo("r", Route::kNear));
     },
     Route::kRefuse, Reason::kContextTooLong, false},
    {"near is not there",
     [](Signals* s, PolicyConfig* c) {
       s->near.available = false;
       c->choose.route = Route::kNear;
     },
     Route::kFar, Reason::kNearFailed, false},
    {"far answers no JSON",
     [](Signals* s, PolicyConfig*) {
       s->prompt.needs_json = true;
       s->far[0].json = false;
     },
     Route::kNear, Reason::kCapability, true},
    {"near answers no JSON",
     [](Signals* s, PolicyConfig* c) {
       s->prompt.needs_json = true;
       s->near.json = false;
       c->choose.route = Route::kNear;
     },
     Route::kFar, Reason::kCapability, false},
    {"battery below the floor",
     [](Signals* s, PolicyConfig* c) {
       s->device.battery = 0.1;
       c->device.battery_floor = 0.2;
       c->choose.route = Route::kNear;
     },
     Route::kFar, Reason::kDevice, false},
    {"battery below the floor, on mains",
     [](Signals* s, PolicyConfig* c) {
       s->device.battery = 0.1;
       s->device.on_battery = false;
       c->device.battery_floor = 0.2;
       c->choose.route = Route::kNear;
     },
     Route::kNear, Reason::kFixed, false},
    {"battery unknown",
     [](Signals*, PolicyConfig* c) {
       c->device.battery_floor = 0.2;
       c->choose.route = Route::kNear;
     },
     Route::kNear, Reason::kFixed, false},
    {"battery below the floor, and far is offline",
     [](Signals* s, PolicyConfig* c) {
       s->device.battery = 0.1;
       s->far[0].health = Health::kUnreachable;
       c->device.battery_floor = 0.2;
       c->choose.route = Route::kNear;
     },
     Route::kNear, Reason::kOffline, true},
    {"battery below the floor, and far is offline, refuse",
     [](Signals* s, PolicyConfig* c) {
       s->device.battery = 0.1;
       s->far[0].health = Health::kUnreachable;
       c->device.battery_floor = 0.2;
       c->offline = OfflineAnswer::kRefuse;
       c->choose.route = Route::kNear;
     },
     Route::kNear, Reason::kOffline, true},
    {"battery below the floor, and the budget is spent, refuse",
     [](Signals* s, PolicyConfig* c) {
       s->device.battery = 0.1;
       s->budget.limit_usd = 0;
       c->device.battery_floor = 0.2;
       c->budget.when_spent = WhenSpent::kRefuse;
       c->choose.route = Route::kDraft;
     },
     Route::kNear, Reason::kBudgetSpent, true},
    {"neither side answers JSON, and there is no far",
     [](Signals* s, PolicyConfig* c) {
       s->prompt.needs_json = true;
       s->near.json = false;
       s->far.clear();
       c->choose.route = Route::kNear;
     },
     Route::kNear, Reason::kOffline, true},
    {"too hot",
     [](Signals* s, PolicyConfig* c) {
       s->device.thermal = ThermalLevel::kCritical;
       c->device.thermal_ceiling = ThermalLevel::kHot;
       c->choose.route = Route::kNear;
     },
     Route::kFar, Reason::kDevice, false},
    {"at the ceiling",
     [](Signals* s, PolicyConfig* c) {
       s->device.thermal = ThermalLevel::kHot;
       c->device.thermal_ceiling = ThermalLevel::kHot;
       c->choose.route = Route::kNear;
     },
     Route::kNear, Reason::kFixed, false},
    {"far is too slow for the request",
     [](Signals* s, PolicyConfig*) { s->request.max_ttft_seconds = 0.5; }, Route::kNear,
     Reason::kRequest, true},
    {"near is too slow for the request",
     [](Signals* s, PolicyConfig* c) {
       s->request.max_ttft_seconds = 1;
       s->prompt.tokens = 1000;
       c->choose.route = Route::kNear;
     },
     Route::kNear, Reason::kRequest, true},
    {"near is too slow for the request, and the policy drafts",
     [](Signals* s, PolicyConfig* c) {
       s->request.max_ttft_seconds = 1;
       s->prompt.tokens = 1000;
       c->choose.route = Route::kDraft;
     },
     Route::kFar, Reason::kRequest, false},
    {"near is too slow for the request, and a rule drafts",
     [](Signals* s, PolicyConfig* c) {
       s->request.max_ttft_seconds = 1;
       s->prompt.tokens = 1000;
       c->rules.push_back(RuleTo("r", Route::kDraft));
     },
     Route::kFar, Reason::kRequest, false},
    {"near is too slow for the request, and there is no far",
     [](Signals* s, PolicyConfig* c) {
       s->request.max_ttft_seconds = 1;
       s->prompt.tokens = 1000;
       s->far.clear();
       c->choose.route = Route::kDraft;
     },
     Route::kNear, Reason::kRequest, true},
    {"near is too slow for the request, and far is offline, refuse",
     [](Signals* s, PolicyConfig* c) {
       s->request.max_ttft_seconds = 1;
       s->prompt.tokens = 1000;
       s->far[0].health = Health::kUnreachable;
       c->offline = OfflineAnswer::kRefuse;
       c->choose.route = Route::kDraft;
     },
     Route::kNear, Reason::kOffline, true},
    {"near is too slow for the request, and the battery is below the floor",
     [](Signals* s, PolicyConfig* c) {
       s->request.max_ttft_seconds = 1;
       s->prompt.tokens = 1000;
       s->device.battery = 0.1;
       c->device.battery_floor = 0.2;
       c->choose.route = Route::kNear;
     },
     Route::kFar, Reason::kDevice, false},
    {"rule near", [](Signals*, PolicyConfig* c) { c->rules.push_back(RuleTo("r", Route::kNear)); },
     Route::kNear, Reason::kRule, false},
    {"rule refuse",
     [](Signals*, PolicyConfig* c) { c->rules.push_back(RuleTo("r", Route::kRefuse)); },
     Route::kRefuse, Reason::kRule, false},
    {"rule refuse and taint",
     [](Signals*, PolicyConfig* c) {
       c->rules.push_back(RuleTo("r", Route::kRefuse, Taint::kSession));
     },
     Route::kRefuse, Reason::kRule, false},
    {"rule draft",
     [](Signals*, PolicyConfig* c) { c->rules.push_back(RuleTo("r", Route::kDraft)); },
     Route::kDraft, Reason::kRule, false},
    {"rule draft without far",
     [](Signals* s, PolicyConfig* c) {
       c->rules.push_back(RuleTo("r", Route::kDraft));
       s->far[0].health = Health::kUnreachable;
     },
     Route::kNear, Reason::kOffline, true},
};

class Ladder : public testing::TestWithParam<Rung> {};

TEST_P(Ladder, Stands) {
  const Rung& rung = GetParam();
  PolicyConfig config = FixedTo(Route::kFar);
  Signals signals = PlainSignals();
  rung.change(&signals, &config);
  const Decision decision = MustMake(config)->Choose(signals);
  EXPECT_EQ(RouteName(decision.route), std::string(RouteName(rung.route))) << decision.detail;
  EXPECT_EQ(ReasonName(decision.reason), std::string(ReasonName(rung.reason))) << decision.detail;
  EXPECT_EQ(decision.flagged, rung.flagged) << decision.detail;
  EXPECT_EQ(decision.target,
            decision.route == Route::kFar || decision.route == Route::kDraft ? "home" : "");
  EXPECT_EQ(decision.propensity, 1);
}

INSTANTIATE_TEST_SUITE_P(Policy, Ladder, testing::ValuesIn(kRungs), [](const auto& info) {
  std::string name;
  for (char c : std::string(info.param.name)) {
    if (isalnum(static_cast<unsigned char>(c))) name.push_back(c);
  }
  return name;
});

// What the decision was and what it would rather have been, both.
TEST(Detail, SaysWhatWasWantedAndWhatStoodAgainstIt) {
  PolicyConfig config = ConfigOf(PolicyKind::kNetValue);
  Signals s = PlainSignals();
  s.request.max_ttft_seconds = 1;
  s.prompt.tokens = 1000;
  const std::string late = MustMake(config)->Choose(s).detail;
  EXPECT_THAT(late, HasSubstr("max_ttft is 1.00 s; wanted near: P(near right) is unknown"));
  s.request.max_ttft_seconds.reset();
  s.device.battery = 0.1;
  s.far[0].health = Health::kUnreachable;
  config.device.battery_floor = 0.2;
  EXPECT_THAT(MustMake(config)->Choose(s).detail,
              HasSubstr("battery 0.10 is below the floor 0.20; home: unreachable; wanted near: "));
}

// Whatever the policy and the request say: nothing of a tainted turn leaves.
TEST(Privacy, NothingLeavesUnderTaintAtAnyMoment) {
  for (const Rung& rung : kRungs) {
    for (PolicyKind kind : {PolicyKind::kFixed, PolicyKind::kThreshold, PolicyKind::kNetValue,
                            PolicyKind::kCascade}) {
      PolicyConfig config = FixedTo(Route::kFar);
      config.near.calibration = CalibrationOf(0.01, 0.01, 0.99);
      config.near.when_unknown = Route::kFar;
      Signals signals = PlainSignals();
      rung.change(&signals, &config);
      config.choose.kind = kind;
      signals.tainted = true;
      signals.near.binding = TestBinding();
      const auto policy = MustMake(config);
      const Route before = policy->Choose(signals).route;
      EXPECT_TRUE(before == Route::kNear || before == Route::kRefuse) << rung.name;
      for (bool finished : {false, true}) {
        signals.draft = DraftOf(40, finished);
        signals.draft->doubtful_windows = 5;
        const Route later = policy->Reconsider(signals).route;
        EXPECT_EQ(later, finished ? Route::kNear : Route::kDraft) << rung.name;
        EXPECT_EQ(policy->AcceptProbability(signals), std::optional<double>(1)) << rung.name;
      }
    }
  }
}

TEST(Privacy, ARuleTaintsAndSaysSo) {
  PolicyConfig config = FixedTo(Route::kFar);
  RuleConfig rule = RuleTo("secrets", Route::kNear, Taint::kSession);
  rule.when = {};
  rule.when.kind = RuleCondition::Kind::kPii;
  rule.when.pii = static_cast<PiiSet>(Pii::kEmail);
  config.rules.push_back(rule);
  const auto policy = MustMake(config);
  Signals signals = PlainSignals();
  EXPECT_EQ(policy->TaintOf(signals), Taint::kNone);
  signals.prompt.findings = policy->ScanText("write to anna@example.org");
  EXPECT_EQ(policy->TaintOf(signals), Taint::kSession);
  const Decision decision = policy->Choose(signals);
  EXPECT_EQ(decision.route, Route::kNear);
  EXPECT_EQ(decision.taint, Taint::kSession);
  EXPECT_THAT(decision.detail, HasSubstr("secrets"));
}

TEST(Privacy, AnUnknownSignalTaints) {
  PolicyConfig config = FixedTo(Route::kFar);
  RuleConfig rule = RuleTo("low", std::nullopt, Taint::kTurn);
  rule.when.signal = "battery";
  config.rules.push_back(rule);
  const Decision decision = MustMake(config)->Choose(PlainSignals());
  EXPECT_EQ(decision.reason, Reason::kTainted);
  EXPECT_THAT(decision.detail, HasSubstr("fails closed"));
}

TEST(ScanText, FindsTheRulesKeywordsAndAllPii) {
  PolicyConfig config = FixedTo(Route::kNear);
  RuleConfig rule = RuleTo("k", Route::kNear);
  rule.when = {};
  rule.when.kind = RuleCondition::Kind::kKeyword;
  rule.when.words = {"Confidential"};
  config.rules.push_back(rule);
  const TextFindings findings = MustMake(config)->ScanText("CONFIDENTIAL: call +49 30 901820");
  EXPECT_EQ(findings.keywords, std::vector<std::string>{"Confidential"});
  EXPECT_EQ(findings.pii, static_cast<PiiSet>(Pii::kPhone));
  const TextFindings hidden = MustMake(config)->ScanText("CONFI\u200bDENTIAL: anna＠example.org");
  EXPECT_EQ(hidden.keywords, findings.keywords);
  EXPECT_EQ(hidden.pii, static_cast<PiiSet>(Pii::kEmail));
}

// --- money ---------------------------------------------------------------------------------------

TEST(Money, TheReservationBoundsTheBill) {
  Signals s = PlainSignals();
  s.prompt.conversation_bytes = 1000;
  s.request.max_tokens = 200;
  const Decision decision = MustMake(FixedTo(Route::kFar))->Choose(s);
  EXPECT_EQ(decision.max_tokens, 0);  // as asked
  EXPECT_GE(decision.max_cost_usd, (1000 * 1 + 200 * 4) * 1e-6);
  EXPECT_LE(decision.max_cost_usd, (1200 * 1 + 200 * 4) * 1e-6);
}

TEST(Money, AReleasedDraftIsBilledToo) {
  PolicyConfig config = FixedTo(Route::kDraft);
  config.near.calibration = CalibrationOf(0.1, 0.1, 0.1);
  config.draft.min_confidence = 0.9;
  Signals s = PlainSignals();
  s.near.binding = TestBinding();
  s.draft = DraftOf(40, true);
  s.draft->bytes = 500;
  const double before = MustMake(config)->Reconsider(s).max_cost_usd;
  s.draft->released = true;
  EXPECT_GE(MustMake(config)->Reconsider(s).max_cost_usd, before + 500 * 1e-6);
}

TEST(Money, MaxTokensIsClippedToWhatIsLeft) {
  const auto policy = MustMake(FixedTo(Route::kFar));
  for (double remaining : {0.0005, 0.00055, 0.0007, 0.001, 0.0015, 0.002}) {
    Signals s = PlainSignals();
    s.budget.limit_usd = 1;
    s.budget.spent_usd = 1 - remaining;
    const Decision decision = policy->Choose(s);
    if (decision.route != Route::kFar) {
      EXPECT_EQ(decision.reason, Reason::kBudgetSpent);
      EXPECT_LT(remaining, (400 + 64 + 16) * 1e-6 + 16 * 4e-6 + 1e-12);
      continue;
    }
    EXPECT_LE(decision.max_cost_usd, *s.budget.remaining_usd());
    if (decision.max_tokens > 0) {
      EXPECT_GE(decision.max_tokens, 16);
      EXPECT_LT(decision.max_tokens, 256);
      EXPECT_GT(decision.max_cost_usd + 4e-6, *s.budget.remaining_usd());  // nothing wasted
    }
  }
}

TEST(Money, TheTighterOfBudgetAndRequestHolds) {
  Signals s = PlainSignals();
  s.budget.limit_usd = 1;
  s.request.max_cost_usd = 0.0008;
  const Decision decision = MustMake(FixedTo(Route::kFar))->Choose(s);
  EXPECT_EQ(decision.route, Route::kFar);
  EXPECT_LE(decision.max_cost_usd, 0.0008);
  EXPECT_GT(decision.max_tokens, 0);
}

// --- contexts ------------------------------------------------------------------------------------

TEST(Contexts, ClipTheAnswer) {
  Signals s = PlainSignals();
  s.far[0].context_tokens = 200;
  EXPECT_EQ(MustMake(FixedTo(Route::kFar))->Choose(s).max_tokens, 100);
  s.near.context_tokens = 150;
  EXPECT_EQ(MustMake(FixedTo(Route::kNear))->Choose(s).max_tokens, 50);
}

// --- targets -------------------------------------------------------------------------------------

TEST(Targets, ARuleMayNameOne) {
  PolicyConfig config = FixedTo(Route::kNear);
  config.far.push_back(FarNamed("other"));
  RuleConfig rule = RuleTo("r", Route::kFar);
  rule.target = "other";
  config.rules.push_back(rule);
  Signals s = PlainSignals();
  s.far.push_back(s.far[0]);
  s.far[1].name = "other";
  s.far[1].output_usd_per_mtok = 50;
  EXPECT_EQ(MustMake(config)->Choose(s).target, "other");
  s.far[1].health = Health::kUnreachable;  // the named one, not any
  const Decision decision = MustMake(config)->Choose(s);
  EXPECT_EQ(decision.route, Route::kNear);
  EXPECT_EQ(decision.reason, Reason::kOffline);
  EXPECT_TRUE(decision.flagged);
}

// Two targets that could answer, of which a rule names "home"; the other is the better bargain.
struct NamedTarget {
  PolicyConfig config = FixedTo(Route::kDraft);
  Signals signals = PlainSignals();
  NamedTarget() {
    config.far.push_back(FarNamed("other"));
    config.near.calibration = CalibrationOf(0.01, 0.01, 0.999);
    config.draft.min_confidence = 0.5;
    config.rules.push_back(RuleTo("r", Route::kFar));
    config.rules[0].target = "home";
    signals.near.binding = TestBinding();
    signals.far.push_back(signals.far[0]);
    signals.far[1].name = "other";
    signals.far[1].input_usd_per_mtok = signals.far[1].output_usd_per_mtok = 0;
  }
};

TEST(Targets, TheRequestDoesNotReachPastTheRule) {
  NamedTarget at;
  at.signals.request.route = Route::kFar;
  EXPECT_EQ(MustMake(at.config)->Choose(at.signals).target, "home");
  at.signals.far[0].health = Health::kUnreachable;
  const Decision decision = MustMake(at.config)->Choose(at.signals);
  EXPECT_EQ(decision.route, Route::kNear);
  EXPECT_EQ(decision.reason, Reason::kOffline);
  EXPECT_TRUE(decision.flagged);
}

TEST(Targets, APromptWithoutRoomIsNoMatterOfMoney) {
  NamedTarget at;
  at.signals.prompt.tokens = 100000;
  at.signals.budget.limit_usd = 0;
  const Decision decision = MustMake(at.config)->Choose(at.signals);
  EXPECT_EQ(decision.reason, Reason::kContextTooLong);
  EXPECT_THAT(decision.detail, HasSubstr("home: about 100000 prompt tokens, context "));
}

TEST(Targets, WhatNearCannotHoldIsRefusedRatherThanSentToAnother) {
  NamedTarget at;
  at.signals.prompt.tokens = 3000;
  EXPECT_EQ(MustMake(at.config)->Choose(at.signals).target, "home");
  at.signals.far[0].health = Health::kUnreachable;
  for (std::optional<Route> route : {std::optional<Route>(), std::optional<Route>(Route::kFar)}) {
    at.signals.request.route = route;
    const Decision decision = MustMake(at.config)->Choose(at.signals);
    EXPECT_EQ(decision.route, Route::kRefuse);
    EXPECT_EQ(decision.reason, Reason::kContextTooLong);
    EXPECT_THAT(decision.detail, HasSubstr("home: unreachable"));
  }
}

TEST(Targets, ADraftIsHandedToTheNamedOneOrKept) {
  NamedTarget at;
  for (bool finished : {false, true}) {
    at.signals.draft = DraftOf(16, finished);
    at.signals.draft->doubtful_windows = 1;
    at.signals.far[0].health = Health::kHealthy;
    Decision decision = MustMake(at.config)->Reconsider(at.signals);
    EXPECT_EQ(decision.route, Route::kFar) << finished;
    EXPECT_EQ(decision.target, "home") << finished;
    at.signals.far[0].health = Health::kBreakerOpen;
    decision = MustMake(at.config)->Reconsider(at.signals);
    EXPECT_EQ(decision.route, finished ? Route::kNear : Route::kDraft);
    EXPECT_EQ(decision.flagged, finished);
    EXPECT_EQ(decision.target, "") << finished;
  }
}

// "home, while two are healthy": its failure turns the rule.
TEST(Targets, TheNamedOneStaysTheOnlyOneWhenTheRuleHasTurned) {
  for (Route kind : {Route::kFar, Route::kDraft}) {
    NamedTarget at;
    at.config.choose.route = kind;
    at.config.rules[0].when.signal = "far_healthy";
    at.config.rules[0].when.above = 1;
    const auto policy = MustMake(at.config);
    const Decision first = policy->Choose(at.signals);
    ASSERT_EQ(first.target, "home");
    at.signals.far[0].health = Health::kUnreachable;
    EXPECT_EQ(policy->Choose(at.signals).target, "other");  // of a turn that begins so
    at.signals.bound_target = first.bound_target;
    const Decision later = policy->Choose(at.signals);
    EXPECT_EQ(later.route, Route::kNear);
    EXPECT_TRUE(later.flagged);
    EXPECT_EQ(later.bound_target, "home");
    at.signals.draft = DraftOf(16, true);
    EXPECT_EQ(policy->Reconsider(at.signals).route, Route::kNear);
    EXPECT_EQ(policy->Reconsider(at.signals).bound_target, "home");
    EXPECT_EQ(policy->AcceptProbability(at.signals), std::optional<double>(1));
  }
}

TEST(Targets, ARuleThatTurnsTrueBindsTheDraft) {
  NamedTarget at;
  at.config.rules[0].when.signal = "battery";
  at.config.rules[0].when.above = 0.5;
  const auto policy = MustMake(at.config);
  at.signals.draft = DraftOf(16, false);
  at.signals.device.battery = 0.6;
  at.signals.bound_target = policy->Reconsider(at.signals).bound_target;
  at.signals.device.battery = 0.4;
  at.signals.draft->finished = true;
  EXPECT_EQ(policy->Reconsider(at.signals).target, "home");
  at.signals.bound_target.clear();
  EXPECT_EQ(policy->Reconsider(at.signals).target, "other");
}

// --- rules that turn while a draft runs ----------------------------------------------------------

TEST(Reconsider, ARuleThatNowKeepsNearOrRefusesKeepsTheDraft) {
  for (Route route : {Route::kNear, Route::kRefuse}) {
    PolicyConfig config = ConfigOf(PolicyKind::kCascade);
    config.near.calibration = CalibrationOf(0.5, 0.01, 0.999);
    config.draft.min_confidence = 0.5;
    config.rules.push_back(RuleTo("low", route));
    config.rules[0].when.signal = "battery";
    config.rules[0].when.above.reset();
    config.rules[0].when.below = 0.2;
    Signals s = PlainSignals();
    s.near.binding = TestBinding();
    for (bool finished : {false, true}) {
      s.draft = DraftOf(16, finished);
      s.draft->doubtful_windows = 1;
      s.device.battery = 0.3;
      ASSERT_EQ(MustMake(config)->Reconsider(s).route, Route::kFar);
      s.device.battery = 0.1;
      const Decision decision = MustMake(config)->Reconsider(s);
      EXPECT_EQ(decision.route, finished ? Route::kNear : Route::kDraft) << RouteName(route);
      EXPECT_EQ(decision.reason, Reason::kRule) << RouteName(route);
      EXPECT_EQ(MustMake(config)->AcceptProbability(s), std::optional<double>(1));
    }
  }
}

// --- during the draft ----------------------------------------------------------------------------

struct DuringCase {
  PolicyConfig config = ConfigOf(PolicyKind::kCascade);
  Signals signals = PlainSignals();
  explicit DuringCase(double prefix) {
    config.near.calibration = CalibrationOf(0.5, 0.5, prefix);
    config.draft.min_confidence = 0.5;
    signals.near.binding = TestBinding();
    signals.draft = DraftOf(16, false);
  }
  Decision Run() const { return MustMake(config)->Reconsider(signals); }
};

TEST(During, StopsAfterTwoDoubtfulWindowsInARow) {
  DuringCase c(0.99);
  const Decision first = c.Run();
  EXPECT_EQ(first.route, Route::kDraft);
  EXPECT_EQ(first.reason, Reason::kKeepDrafting);
  EXPECT_EQ(first.doubtful_windows, 1);
  c.signals.draft->doubtful_windows = first.doubtful_windows;
  const Decision second = c.Run();
  EXPECT_EQ(second.route, Route::kFar);
  EXPECT_EQ(second.reason, Reason::kEarlyExit);
  EXPECT_EQ(second.target, "home");
  EXPECT_GT(second.max_cost_usd, 0);
  EXPECT_EQ(second.confidence, std::nullopt);
}

TEST(During, AGoodWindowClearsTheDoubt) {
  DuringCase c(0.01);
  c.signals.draft->doubtful_windows = 1;
  EXPECT_EQ(c.Run().doubtful_windows, 0);
  EXPECT_EQ(c.Run().route, Route::kDraft);
}

TEST(During, TheThresholdIsTheClosedForm) {
  // c_rem: 84 more tokens at 20/s and 0.0005 USD/s; c_far: its bill and its wait.
  DuringCase c(0.9);
  c.config.value.second_usd = 0.0001;
  const double c_rem = 84.0 / 20 * 0.0001;
  const double c_far = (100 * 1 + 100 * 4) * 1e-6 + (1 + 100.0 / 30) * 0.0001;
  const Decision decision = c.Run();
  ASSERT_TRUE(decision.threshold.has_value());
  EXPECT_NEAR(*decision.threshold, 1 - c_rem / c_far, 1e-9);
  EXPECT_NEAR(*decision.score, 0.9, 1e-9);
}

TEST(During, NeverForBeingSlowAlone) {
  DuringCase c(0.49);
  c.signals.draft->doubtful_windows = 1;
  c.signals.near.decode_tokens_per_second = 0.1;  // c_rem far above c_far
  EXPECT_EQ(*c.Run().threshold, 0.5);
  EXPECT_EQ(c.Run().route, Route::kDraft);
}

TEST(During, KeepsDraftingWhereItMustOrCannotTell) {
  const std::pair<const char*, std::function<void(DuringCase*)>> kCases[] = {
      {"too early", [](DuringCase* c) { c->signals.draft->tokens = 7; }},
      {"no far", [](DuringCase* c) { c->signals.far[0].health = Health::kUnreachable; }},
      {"no money", [](DuringCase* c) { c->signals.budget.limit_usd = 0; }},
      {"local only", [](DuringCase* c) { c->signals.request.local_only = true; }},
      {"near asked for", [](DuringCase* c) { c->signals.request.route = Route::kNear; }},
      {"another model", [](DuringCase* c) { c->signals.near.binding.fingerprint = "x"; }},
      {"unknown speed", [](DuringCase* c) { c->signals.near.decode_tokens_per_second.reset(); }},
      {"all but written", [](DuringCase* c) { c->signals.draft->tokens = 256; }},
      {"it judges nothing",
       [](DuringCase* c) {
         c->config.choose.kind = PolicyKind::kFixed;
         c->config.draft.min_confidence.reset();
       }},
      {"a head without its deviation",
       [](DuringCase* c) {
         auto calibration = CalibrationOf(0.5, 0.5, 0.999);
         calibration->prefix_deviation.reset();
         c->config.near.calibration = calibration;
       }},
      {"the finished draft cannot be judged",
       [](DuringCase* c) {
         auto calibration = CalibrationOf(0.5, 0.5, 0.999);
         calibration->draft.reset();
         c->config.near.calibration = calibration;
       }},
  };
  for (const auto& [name, change] : kCases) {
    DuringCase c(0.999);
    c.signals.draft->doubtful_windows = 1;
    ASSERT_EQ(c.Run().route, Route::kFar);
    change(&c);
    EXPECT_EQ(c.Run().route, Route::kDraft) << name;
  }
}

// --- after the draft -----------------------------------------------------------------------------

TEST(After, ARejectedDraftThatCannotBeReplacedIsFlaggedOrRefused) {
  PolicyConfig config = ConfigOf(PolicyKind::kCascade);
  config.near.calibration = CalibrationOf(0.1, 0.1, 0.9);
  Signals s = PlainSignals();
  s.near.binding = TestBinding();
  s.draft = DraftOf(40, true);
  s.budget.limit_usd = 0;
  Decision decision = MustMake(config)->Reconsider(s);
  EXPECT_EQ(decision.route, Route::kNear);
  EXPECT_EQ(decision.reason, Reason::kBudgetSpent);
  EXPECT_TRUE(decision.flagged);
  EXPECT_NEAR(*decision.confidence, 0.1, 1e-9);
  config.budget.when_spent = WhenSpent::kRefuse;
  EXPECT_EQ(MustMake(config)->Reconsider(s).route, Route::kRefuse);
  s.draft->released = true;  // text that is out cannot be refused any more
  EXPECT_EQ(MustMake(config)->Reconsider(s).route, Route::kNear);
  s.far.clear();
  decision = MustMake(config)->Reconsider(s);
  EXPECT_EQ(decision.route, Route::kNear);
}

// A draft that is likely to end at 0.92 is good enough for one policy and not for another.
TEST(AcceptProbability, IsOfThisPolicysThresholdAndThisRequests) {
  auto calibration = CalibrationOf(0.5, 0.92, 0.5);
  calibration->prefix = ConstantHead(0.92);
  calibration->prefix_deviation = 0.5;
  PolicyConfig config = ConfigOf(PolicyKind::kCascade);
  config.near.calibration = calibration;
  Signals s = PlainSignals();
  s.near.binding = TestBinding();
  s.draft = DraftOf(16, false);
  const auto accept = [&](double threshold) {
    config.draft.min_confidence = threshold;
    return *MustMake(config)->AcceptProbability(s);
  };
  EXPECT_GT(accept(0.5), 0.99);
  EXPECT_NEAR(accept(0.92), 0.5, 1e-9);
  // (logit 0.95 - logit 0.92) / 0.5 = 1.004 deviations.
  EXPECT_NEAR(accept(0.95), 0.1577, 1e-3);
  EXPECT_EQ(accept(1), 0);
  s.request.min_confidence = 0.95;
  EXPECT_NEAR(accept(0.5), 0.1577, 1e-3);
}

TEST(AcceptProbability, IsThePrefixHeadsThenTheVerdict) {
  PolicyConfig config = ConfigOf(PolicyKind::kCascade);
  config.near.calibration = CalibrationOf(0.5, 0.99, 0.3);
  config.draft.min_confidence = 0.5;
  Signals s = PlainSignals();
  s.near.binding = TestBinding();
  const auto policy = MustMake(config);
  EXPECT_EQ(policy->AcceptProbability(s), std::nullopt);
  s.draft = DraftOf(16, false);
  EXPECT_NEAR(*policy->AcceptProbability(s), 0.7, 1e-9);
  s.draft->finished = true;
  EXPECT_EQ(policy->AcceptProbability(s), std::optional<double>(1));
  s.near.p_right = 0.01;
  EXPECT_EQ(policy->AcceptProbability(s), std::optional<double>(0));
  s.near.p_right.reset();
  s.near.binding.quantization = "other";
  s.draft->finished = false;
  EXPECT_EQ(policy->AcceptProbability(s), std::nullopt);
  s.far.clear();
  EXPECT_EQ(policy->AcceptProbability(s), std::optional<double>(1));
}

// --- calibration ---------------------------------------------------------------------------------

// Each field of a binding, changed.
const std::pair<const char*, std::function<void(ModelBinding*)>> kOtherBindings[] = {
    {"fingerprint", [](ModelBinding* b) { b->fingerprint = "x"; }},
    {"quantization", [](ModelBinding* b) { b->quantization = "x"; }},
    {"template_hash", [](ModelBinding* b) { b->template_hash = "x"; }},
    {"kv_type", [](ModelBinding* b) { b->kv_type = "x"; }},
    {"sampling", [](ModelBinding* b) { b->sampling = "x"; }},
    {"adapter", [](ModelBinding* b) { b->adapter = "x"; }},
    {"feature_version", [](ModelBinding* b) { b->feature_version = 77; }},
};

void ExpectUnknown(const Policy& policy, Signals s, const std::string& what) {
  const Decision before = policy.Choose(s);
  EXPECT_EQ(before.route, Route::kFar) << what;
  EXPECT_EQ(before.reason, Reason::kUncalibrated) << what;
  EXPECT_EQ(before.confidence, std::nullopt) << what;
  s.draft = DraftOf(16, false);
  EXPECT_EQ(policy.AcceptProbability(s), std::nullopt) << what;
  s.draft->finished = true;
  const Decision after = policy.Reconsider(s);
  EXPECT_EQ(after.route, Route::kFar) << what;
  EXPECT_EQ(after.reason, Reason::kUncalibrated) << what;
  EXPECT_EQ(after.confidence, std::nullopt) << what;
}

// Heads that are all but sure of near: wherever they still spoke, the route would be near.
TEST(Calibration, OfAnotherModelOrOfNoneIsUnknown) {
  for (PolicyKind kind : {PolicyKind::kThreshold, PolicyKind::kNetValue, PolicyKind::kCascade}) {
    PolicyConfig config = ConfigOf(kind);
    config.near.when_unknown = Route::kFar;
    Signals s = PlainSignals();
    s.near.binding = TestBinding();
    ExpectUnknown(*MustMake(config), s, "no calibration");
    config.near.calibration = CalibrationOf(0.99, 0.99, 0.01);
    const auto policy = MustMake(config);
    EXPECT_EQ(policy->Choose(s).route, Route::kDraft);
    for (const auto& [field, change] : kOtherBindings) {
      Signals other = s;
      change(&other.near.binding);
      ExpectUnknown(*policy, other, field);
    }
    s.draft = DraftOf(40, true);
    EXPECT_EQ(policy->Reconsider(s).route, Route::kNear);
  }
}

TEST(CheckCalibration, NamesEachFieldThatDiffers) {
  PolicyConfig config;
  EXPECT_EQ(CheckCalibration(config, TestBinding()).code(), absl::StatusCode::kNotFound);
  config.near.calibration = CalibrationOf(0.5, 0.5, 0.5);
  EXPECT_TRUE(CheckCalibration(config, TestBinding()).ok());
  for (const auto& [name, change] : kOtherBindings) {
    ModelBinding binding = TestBinding();
    change(&binding);
    const absl::Status status = CheckCalibration(config, binding);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
    for (const auto& [other, unused] : kOtherBindings) {
      if (std::string(other) == name) continue;
      EXPECT_EQ(status.message().find(std::string(other) + " ("), absl::string_view::npos);
    }
  }
}

TEST(MakePolicy, NamesTheField) {
  PolicyConfig config = ConfigOf(PolicyKind::kThreshold);
  config.choose.threshold = 1.5;
  const auto policy = MakePolicy(config);
  EXPECT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(policy.status().message()), HasSubstr("choose.threshold: "));
}

// --- purity --------------------------------------------------------------------------------------

bool Same(const Decision& a, const Decision& b) {
  bool same = a.route == b.route && a.target == b.target && a.reason == b.reason &&
              a.detail == b.detail && a.score == b.score && a.threshold == b.threshold &&
              a.confidence == b.confidence && a.max_cost_usd == b.max_cost_usd &&
              a.max_tokens == b.max_tokens && a.taint == b.taint && a.flagged == b.flagged &&
              a.terms.size() == b.terms.size();
  for (size_t i = 0; same && i < a.terms.size(); ++i) same = a.terms[i].value == b.terms[i].value;
  return same;
}

TEST(Purity, SameSignalsSameDecisionFromAnyInstance) {
  for (const Rung& rung : kRungs) {
    PolicyConfig config = FixedTo(Route::kFar);
    config.near.calibration = CalibrationOf(0.4, 0.6, 0.7);
    Signals signals = PlainSignals();
    signals.near.binding = TestBinding();
    rung.change(&signals, &config);
    const auto policy = MustMake(config), twin = MustMake(config);
    const Decision decision = policy->Choose(signals);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(Same(policy->Choose(signals), decision)) << rung.name;
    EXPECT_TRUE(Same(twin->Choose(signals), decision)) << rung.name;
  }
}

}  // namespace
}  // namespace nearfar
