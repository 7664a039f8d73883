#include "policies/check_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "tests/policies/signals_for_tests.h"

namespace nearfar {
namespace {

std::vector<std::string> FieldsOf(const PolicyConfig& config) {
  std::vector<std::string> fields;
  for (const FieldError& error : CheckPolicyConfig(config)) fields.push_back(error.field);
  return fields;
}

TEST(CheckPolicyConfig, DefaultsAreFine) {
  EXPECT_EQ(FieldsOf(PolicyConfig()), std::vector<std::string>{});
  for (PolicyKind kind :
       {PolicyKind::kFixed, PolicyKind::kThreshold, PolicyKind::kNetValue, PolicyKind::kCascade}) {
    EXPECT_EQ(FieldsOf(ConfigOf(kind)), std::vector<std::string>{});
  }
}

TEST(CheckPolicyConfig, EveryMistakeIsToldAtItsField) {
  using Change = std::function<void(PolicyConfig*)>;
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  const auto signal = [](const std::string& name, double above, double below) {
    RuleConfig rule;
    rule.name = "r";
    rule.route = Route::kNear;
    rule.when.kind = RuleCondition::Kind::kSignal;
    rule.when.signal = name;
    rule.when.above = above;
    rule.when.below = below;
    return rule;
  };
  const auto words = [](const std::string& kind, const std::string& word) {
    RuleConfig rule;
    rule.name = "r";
    rule.route = Route::kNear;
    rule.when.kind =
        kind == "keyword" ? RuleCondition::Kind::kKeyword : RuleCondition::Kind::kLanguage;
    rule.when.words = {"de", word};
    return rule;
  };
  const std::pair<std::string, Change> kCases[] = {
      {"value.right_answer_usd", [](auto* c) { c->value.right_answer_usd = -1; }},
      {"value.second_usd", [=](auto* c) { c->value.second_usd = nan; }},
      {"value.joule_usd", [=](auto* c) { c->value.joule_usd = inf; }},
      {"value.device_watts", [](auto* c) { c->value.device_watts = -1; }},
      {"value.radio_watts", [](auto* c) { c->value.radio_watts = -1; }},
      {"near.when_unknown", [](auto* c) { c->near.when_unknown = Route::kRefuse; }},
      {"near.calibration",
       [](auto* c) {
         auto calibration = CalibrationOf(0.5, 0.5, 0.5);
         calibration->draft->features = {"nonsense"};
         calibration->draft->weights = calibration->draft->means = {1};
         calibration->draft->scales = {1};
         c->near.calibration = calibration;
       }},
      {"far[0].name", [](auto* c) { c->far[0].name = ""; }},
      {"far[0].name", [](auto* c) { c->far[0].name = "near"; }},
      {"far[1].name", [](auto* c) { c->far.push_back(c->far[0]); }},
      {"far[0].protocol", [](auto* c) { c->far[0].protocol = "telepathy"; }},
      {"far[0].target", [](auto* c) { c->far[0].target = ""; }},
      {"far[0].target", [](auto* c) { c->far[0].target = "dns:///example.org:443"; }},
      {"far[0].tls",
       [](auto* c) {
         c->far[0].tls = TlsConfig{"", "cert.pem", "", ""};
       }},
      {"far[0].allow_plaintext",
       [](auto* c) { c->far[0].tls.emplace(), c->far[0].allow_plaintext = true; }},
      {"far[0].price.input_usd_per_mtok", [](auto* c) { c->far[0].input_usd_per_mtok = -1; }},
      {"far[0].price.output_usd_per_mtok", [=](auto* c) { c->far[0].output_usd_per_mtok = inf; }},
      {"far[0].price.input_usd_per_mtok",
       [](auto* c) { c->budget.limit_usd = 1, c->far[0].input_usd_per_mtok.reset(); }},
      {"far[0].price.output_usd_per_mtok",
       [](auto* c) { c->budget.limit_usd = 0, c->far[0].output_usd_per_mtok.reset(); }},
      {"far[0].context_tokens", [](auto* c) { c->far[0].context_tokens = 0; }},
      {"far[0].prior_right", [](auto* c) { c->far[0].prior_right = 1.01; }},
      {"far[0].expected_ttft_seconds", [](auto* c) { c->far[0].expected_ttft_seconds = -1; }},
      {"far[0].expected_tokens_per_second",
       [](auto* c) { c->far[0].expected_tokens_per_second = 0; }},
      {"far[0].api_key", [](auto* c) { c->far[0].api_key = "abc"; }},
      {"far[0].api_key", [](auto* c) { c->far[0].api_key = "env:"; }},
      {"budget.limit_usd", [](auto* c) { c->budget.limit_usd = -1; }},
      {"budget.window", [](auto* c) { c->budget.window = absl::Seconds(1); }},
      {"budget.pacing", [](auto* c) { c->budget.pacing = Pacing::kDual; }},
      {"budget.lease_usd", [](auto* c) { c->budget.limit_usd = 1, c->budget.lease_usd = 2; }},
      {"rules[0].name",
       [=](auto* c) { c->rules = {signal("turns", 0, 9)}, c->rules[0].name = ""; }},
      {"rules[1].name",
       [=](auto* c) {
         c->rules = {signal("turns", 0, 9), signal("turns", 0, 9)};
       }},
      {"rules[0].when.signal", [=](auto* c) { c->rules = {signal("turn", 0, 9)}; }},
      {"rules[0].when", [=](auto* c) { c->rules = {signal("turns", 9, 5)}; }},
      {"rules[0].when.above",
       [=](auto* c) { c->rules = {signal("battery", 20, 0)}, c->rules[0].when.below.reset(); }},
      {"rules[0].when.above",
       [=](auto* c) { c->rules = {signal("thermal", 3, 9)}, c->rules[0].when.below.reset(); }},
      {"rules[0].when.below", [=](auto* c) { c->rules = {signal("battery", 0.2, 20)}; }},
      {"rules[0].when.below",
       [=](auto* c) { c->rules = {signal("turns", 0, 0)}, c->rules[0].when.above.reset(); }},
      {"rules[0].when.keyword[1]", [=](auto* c) { c->rules = {words("keyword", "\u00a0 ")}; }},
      {"rules[0].when.keyword[1]", [=](auto* c) { c->rules = {words("keyword", "\u200b")}; }},
      {"rules[0].when.language[1]", [=](auto* c) { c->rules = {words("language", "en-US")}; }},
      {"rules[0].then",
       [=](auto* c) { c->rules = {signal("turns", 0, 9)}, c->rules[0].route.reset(); }},
      {"rules[0].then",
       [=](auto* c) {
         c->rules = {signal("turns", 0, 9)};
         c->rules[0].route = Route::kFar;
         c->rules[0].taint = Taint::kTurn;
       }},
      {"rules[0].then.target",
       [=](auto* c) { c->rules = {signal("turns", 0, 9)}, c->rules[0].target = "home"; }},
      {"rules[0].then.target",
       [=](auto* c) {
         c->rules = {signal("turns", 0, 9)};
         c->rules[0].route = Route::kFar;
         c->rules[0].target = "nobody";
       }},
      {"rules[0].when.all",
       [](auto* c) {
         c->rules.push_back({"r", {}, Route::kNear, "", Taint::kNone});
       }},
      {"choose.route", [](auto* c) { c->choose.route = Route::kRefuse; }},
      {"choose.threshold", [](auto* c) { c->choose.threshold = -0.1; }},
      {"choose.margin_usd", [=](auto* c) { c->choose.margin_usd = nan; }},
      {"draft.check_every_tokens", [](auto* c) { c->draft.check_every_tokens = 0; }},
      {"draft.hold_back_tokens", [](auto* c) { c->draft.hold_back_tokens = -1; }},
      {"draft.hold_back_tokens",
       [](auto* c) { c->stream.release = Release::kConfident, c->draft.hold_back_tokens = 4; }},
      {"draft.min_tokens", [](auto* c) { c->draft.min_tokens = 0; }},
      {"draft.accept.min_confidence", [](auto* c) { c->draft.min_confidence = 2; }},
      {"draft.accept.max_wrong_accepted", [](auto* c) { c->draft.max_wrong_accepted = 0; }},
      {"draft.accept.max_wrong_accepted", [](auto* c) { c->draft.max_wrong_accepted = 0.1; }},
      {"stream.release_at", [](auto* c) { c->stream.release_at = 1.5; }},
      {"device.battery_floor", [](auto* c) { c->device.battery_floor = 15; }},
      {"log.keep", [](auto* c) { c->log.keep = absl::ZeroDuration(); }},
  };
  for (const auto& [field, change] : kCases) {
    PolicyConfig config = ConfigOf(PolicyKind::kFixed);
    change(&config);
    EXPECT_EQ(FieldsOf(config), std::vector<std::string>{field});
    EXPECT_FALSE(MakePolicy(config).ok()) << field;
  }
}

TEST(CheckPolicyConfig, FarIsWantedButNotThere) {
  PolicyConfig config;
  config.near.when_unknown = Route::kFar;
  config.choose.route = Route::kFar;
  EXPECT_EQ(FieldsOf(config), (std::vector<std::string>{"near.when_unknown", "choose.route"}));
}

TEST(CheckPolicyConfig, WithoutALimitAPriceMayBeAbsentAndFreeMayBeSaid) {
  PolicyConfig config = ConfigOf(PolicyKind::kFixed);
  config.far[0].input_usd_per_mtok.reset();
  config.far[0].output_usd_per_mtok.reset();
  EXPECT_EQ(FieldsOf(config), std::vector<std::string>{});
  config.budget.limit_usd = 1;
  config.far[0].input_usd_per_mtok = config.far[0].output_usd_per_mtok = 0;
  EXPECT_EQ(FieldsOf(config), std::vector<std::string>{});
}

// A bill may be larger than what was reserved for it, and a limit may be lowered.
TEST(CheckPolicyConfig, MoreThanTheLimitMayBeSpent) {
  PolicyConfig config = ConfigOf(PolicyKind::kFixed);
  RuleCondition overspent;
  overspent.kind = RuleCondition::Kind::kSignal;
  overspent.signal = "budget_spent_share";
  overspent.above = 1;
  config.rules.push_back({"overspent", overspent, Route::kNear, "", Taint::kNone});
  EXPECT_EQ(FieldsOf(config), std::vector<std::string>{});
}

TEST(CheckPolicyConfig, SaysWhyAKeywordIsNeverFound) {
  PolicyConfig config = ConfigOf(PolicyKind::kFixed);
  RuleCondition condition;
  condition.kind = RuleCondition::Kind::kKeyword;
  condition.words = {"", "\u200b\u200d"};
  config.rules.push_back({"r", condition, Route::kNear, "", Taint::kNone});
  const auto errors = CheckPolicyConfig(config);
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[0].message, "is empty");
  EXPECT_THAT(errors[1].message, testing::HasSubstr("nothing that is ever found"));
}

TEST(CheckPolicyConfig, SaysWhichLanguageWasMeant) {
  const auto message = [](const std::string& word) {
    PolicyConfig config;
    RuleCondition condition;
    condition.kind = RuleCondition::Kind::kLanguage;
    condition.words = {word};
    config.rules.push_back({"r", condition, Route::kNear, "", Taint::kNone});
    const auto errors = CheckPolicyConfig(config);
    return errors.empty() ? "" : errors[0].message;
  };
  EXPECT_EQ(message("en"), "");
  for (const char* word : {"en-US", "en_GB", "EN"}) {
    EXPECT_THAT(message(word), testing::HasSubstr("did you mean en?")) << word;
  }
  EXPECT_THAT(message("German"), testing::HasSubstr("(known: en, de, "));
}

TEST(CheckPolicyConfig, APrefixHeadsDeviation) {
  PolicyConfig config = ConfigOf(PolicyKind::kCascade);
  auto calibration = CalibrationOf(0.5, 0.5, 0.5);
  calibration->prefix_deviation = -1;
  config.near.calibration = calibration;
  const auto errors = CheckPolicyConfig(config);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].field, "near.calibration");
  EXPECT_THAT(errors[0].message, testing::HasSubstr("prefix_deviation must be"));
}

TEST(CheckPolicyConfig, DeepConditionsEnd) {
  RuleCondition condition;
  condition.kind = RuleCondition::Kind::kOffline;
  for (int i = 0; i < 200; ++i) {
    RuleCondition outer;
    outer.kind = RuleCondition::Kind::kNot;
    outer.children.push_back(std::move(condition));
    condition = std::move(outer);
  }
  PolicyConfig config;
  config.rules.push_back({"r", condition, Route::kNear, "", Taint::kNone});
  const auto errors = CheckPolicyConfig(config);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_THAT(errors[0].message, testing::HasSubstr("deeper"));
}

TEST(IsLocalTarget, LoopbackAndSocketsOnly) {
  for (const char* local :
       {"unix:/run/x", "unix:///run/x", "unix-abstract:x", "127.0.0.1:1", "dns:///127.0.0.1:7443",
        "dns:127.3.2.1:7", "localhost:7443", "dns:///localhost:7443", "dns://8.8.8.8/localhost:1",
        "ipv4:127.0.0.1:5", "[::1]:7443", "ipv6:[::1]:7443", "dns:///[::1]:7",
        "ipv4:127.0.0.1:5,127.0.0.2:5", "ipv6:[::1]:7443,[::1]:7444"}) {
    EXPECT_TRUE(IsLocalTarget(local)) << local;
  }
  for (const char* remote :
       {"", "dns:///example.org:443", "127.evil.example:1", "10.0.0.1:7443",
        "dns:///192.0.2.10:7443", "localhost.example.org:1", "[2001:db8::1]:1", "0.0.0.0:1",
        "ipv4:10.1.1.1:5", "ipv6:[::1]:7443,[2001:db8::1]:7443", "ipv4:127.0.0.1:5,10.1.1.1",
        "ipv4:127.0.0.1:5,10.1.1.1:5,127.0.0.1:5", "ipv4:127.0.0.1:5,"}) {
    EXPECT_FALSE(IsLocalTarget(remote)) << remote;
  }
}

}  // namespace
}  // namespace nearfar
