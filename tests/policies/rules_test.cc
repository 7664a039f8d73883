#include "policies/rules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "tests/policies/signals_for_tests.h"

namespace nearfar {
namespace {

using Kind = RuleCondition::Kind;

RuleCondition Of(Kind kind) {
  RuleCondition condition;
  condition.kind = kind;
  return condition;
}

RuleCondition Signal(const std::string& name, std::optional<double> above,
                     std::optional<double> below) {
  RuleCondition condition = Of(Kind::kSignal);
  condition.signal = name;
  condition.above = above;
  condition.below = below;
  return condition;
}

RuleCondition Join(Kind kind, std::vector<RuleCondition> children) {
  RuleCondition condition = Of(kind);
  condition.children = std::move(children);
  return condition;
}

RuleCondition Known(bool value) {  // true or false, whatever the signals
  return value ? Signal("turns", -1, std::nullopt) : Signal("turns", std::nullopt, -1);
}
RuleCondition Unknown() { return Signal("battery", 0.5, std::nullopt); }

TEST(SignalNames, AreUniqueDescribedAndReadable) {
  std::set<std::string> names;
  for (const SignalName& signal : SignalNames()) {
    EXPECT_TRUE(names.insert(signal.name).second) << signal.name;
    EXPECT_NE(std::string(signal.meaning), "") << signal.name;
    EXPECT_EQ(FindSignalName(signal.name), &signal);
    const std::optional<double> value = signal.value(PlainSignals());
    EXPECT_TRUE(std::isfinite(value.value_or(0))) << signal.name;
  }
  EXPECT_EQ(FindSignalName("batery"), nullptr);
}

TEST(SignalNames, EachReadsItsSignal) {
  Signals s = PlainSignals();
  s.prompt.turns = 3;
  s.prompt.has_code = true;
  s.request.max_tokens = 99;
  s.device = {0.4, true, 61.0, ThermalLevel::kHot, 1 << 20, 0.7};
  s.budget.limit_usd = 2;
  s.budget.spent_usd = 0.5;
  s.budget.pacing_price = 1.5;
  const std::pair<const char*, double> kExpected[] = {{"prompt_tokens", 100},
                                                      {"prompt_bytes", 400},
                                                      {"turns", 3},
                                                      {"has_code", 1},
                                                      {"max_tokens", 99},
                                                      {"battery", 0.4},
                                                      {"on_battery", 1},
                                                      {"temperature", 61},
                                                      {"thermal", 2},
                                                      {"free_memory_bytes", 1 << 20},
                                                      {"cpu_load", 0.7},
                                                      {"near_tokens_per_second", 20},
                                                      {"far_healthy", 1},
                                                      {"budget_spent_share", 0.25},
                                                      {"budget_remaining_usd", 1.5},
                                                      {"pacing_price", 1.5}};
  EXPECT_EQ(std::size(kExpected), SignalNames().size());
  for (const auto& [name, value] : kExpected) {
    ASSERT_NE(FindSignalName(name), nullptr) << name;
    EXPECT_EQ(FindSignalName(name)->value(s), std::optional<double>(value)) << name;
    EXPECT_GE(value, FindSignalName(name)->low) << name;
    EXPECT_LE(value, FindSignalName(name)->high) << name;
  }
}

TEST(Evaluate, AboveAndBelowAreStrict) {
  const Signals s = PlainSignals();
  EXPECT_EQ(Evaluate(Signal("prompt_tokens", 99, std::nullopt), s), Truth::kTrue);
  EXPECT_EQ(Evaluate(Signal("prompt_tokens", 100, std::nullopt), s), Truth::kFalse);
  EXPECT_EQ(Evaluate(Signal("prompt_tokens", std::nullopt, 100), s), Truth::kFalse);
  EXPECT_EQ(Evaluate(Signal("prompt_tokens", 99, 101), s), Truth::kTrue);
  EXPECT_EQ(Evaluate(Unknown(), s), Truth::kUnknown);
}

TEST(Evaluate, ThreeValuedLogic) {
  const Signals s = PlainSignals();
  const Truth kValues[] = {Truth::kFalse, Truth::kUnknown, Truth::kTrue};
  const auto condition = [](Truth truth) {
    return truth == Truth::kUnknown ? Unknown() : Known(truth == Truth::kTrue);
  };
  for (Truth a : kValues) {
    EXPECT_EQ(Evaluate(Join(Kind::kNot, {condition(a)}), s),
              static_cast<Truth>(2 - static_cast<int>(a)));
    for (Truth b : kValues) {
      const std::vector<RuleCondition> both = {condition(a), condition(b)};
      EXPECT_EQ(Evaluate(Join(Kind::kAny, both), s), std::max(a, b));
      EXPECT_EQ(Evaluate(Join(Kind::kAll, both), s), std::min(a, b));
    }
  }
}

TEST(Evaluate, WordsPiiLanguageJsonOffline) {
  Signals s = PlainSignals();
  s.prompt.findings.keywords = {"Secret"};
  s.prompt.findings.pii = static_cast<PiiSet>(Pii::kCard);
  RuleCondition keyword = Of(Kind::kKeyword);
  keyword.words = {"other", "Secret"};
  EXPECT_EQ(Evaluate(keyword, s), Truth::kTrue);
  keyword.words = {"other"};
  EXPECT_EQ(Evaluate(keyword, s), Truth::kFalse);
  RuleCondition pii = Of(Kind::kPii);
  pii.pii = static_cast<PiiSet>(Pii::kCard) | static_cast<PiiSet>(Pii::kEmail);
  EXPECT_EQ(Evaluate(pii, s), Truth::kTrue);
  pii.pii = static_cast<PiiSet>(Pii::kEmail);
  EXPECT_EQ(Evaluate(pii, s), Truth::kFalse);
  RuleCondition language = Of(Kind::kLanguage);
  language.words = {"de", "en"};
  EXPECT_EQ(Evaluate(language, s), Truth::kTrue);
  s.prompt.language = "";
  EXPECT_EQ(Evaluate(language, s), Truth::kUnknown);
  RuleCondition json = Of(Kind::kNeedsJson);
  EXPECT_EQ(Evaluate(json, s), Truth::kFalse);
  json.wanted = false;
  EXPECT_EQ(Evaluate(json, s), Truth::kTrue);
  RuleCondition offline = Of(Kind::kOffline);
  for (Health health : {Health::kHealthy, Health::kUnknown}) {
    s.far[0].health = health;
    EXPECT_EQ(Evaluate(offline, s), Truth::kFalse);
  }
  for (Health health : {Health::kBreakerOpen, Health::kUnreachable}) {
    s.far[0].health = health;
    EXPECT_EQ(Evaluate(offline, s), Truth::kTrue);
  }
  s.far.clear();
  EXPECT_EQ(Evaluate(offline, s), Truth::kTrue);
}

RuleConfig Rule(const std::string& name, RuleCondition when, std::optional<Route> route,
                Taint taint) {
  RuleConfig rule;
  rule.name = name;
  rule.when = std::move(when);
  rule.route = route;
  rule.taint = taint;
  return rule;
}

TEST(EvaluateRules, FirstRouteWinsStrongestTaintCounts) {
  const std::vector<RuleConfig> rules = {
      Rule("no", Known(false), Route::kRefuse, Taint::kSession),
      Rule("turn", Known(true), std::nullopt, Taint::kTurn),
      Rule("first", Known(true), Route::kFar, Taint::kNone),
      Rule("second", Known(true), Route::kNear, Taint::kSession),
  };
  const RuleOutcome outcome = EvaluateRules(rules, PlainSignals());
  EXPECT_EQ(outcome.routed_by, &rules[2]);
  EXPECT_EQ(outcome.taint, Taint::kSession);
  EXPECT_EQ(outcome.tainted_by, &rules[3]);
}

TEST(EvaluateRules, UnknownTaintsButDoesNotRoute) {
  const std::vector<RuleConfig> rules = {
      Rule("far", Unknown(), Route::kFar, Taint::kNone),
      Rule("taint", Unknown(), Route::kNear, Taint::kTurn),
  };
  const RuleOutcome outcome = EvaluateRules(rules, PlainSignals());
  EXPECT_EQ(outcome.routed_by, nullptr);
  EXPECT_EQ(outcome.taint, Taint::kTurn);
}

TEST(KeywordsOf, CollectsEachOnceFromAnyDepth) {
  RuleCondition keyword = Of(Kind::kKeyword);
  keyword.words = {"a", "b"};
  RuleCondition other = Of(Kind::kKeyword);
  other.words = {"b", "c"};
  const std::vector<RuleConfig> rules = {Rule(
      "x", Join(Kind::kNot, {Join(Kind::kAny, {keyword, other})}), Route::kNear, Taint::kNone)};
  EXPECT_EQ(KeywordsOf(rules), (std::vector<std::string>{"a", "b", "c"}));
}

}  // namespace
}  // namespace nearfar
