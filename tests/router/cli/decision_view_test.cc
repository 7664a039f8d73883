#include "router/cli/decision_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/router/cli/captured_terminal.h"

namespace nearfar::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Decision Sample() {
  Decision decision;
  decision.route = Route::kFar;
  decision.target = "home";
  decision.reason = Reason::kNetValue;
  decision.detail = "far is worth more";
  decision.score = 0.0012;
  decision.threshold = 0;
  decision.confidence = 0.41;
  decision.terms = {
      {"p_near", 0.41, "probability"}, {"price", 0.00042, "usd"}, {"wait", 1.25, "s"}};
  decision.flips = {{"policy.threshold", 0.5, 0.81, Route::kNear, ""},
                    {"prompt.tokens", 40, 900, Route::kNear, "tokens"}};
  return decision;
}

TEST(ValueText, WritesUnitsAsPeopleDo) {
  EXPECT_EQ(ValueText(0.00042, "usd"), "$0.000420");
  EXPECT_EQ(ValueText(-0.5, "usd"), "-$0.500000");
  EXPECT_EQ(ValueText(0.412, "probability"), "41.2 %");
  EXPECT_EQ(ValueText(1.25, "s"), "1.25 s");
  EXPECT_EQ(ValueText(48, "tokens"), "48 tokens");
  EXPECT_EQ(ValueText(3, ""), "3");
}

TEST(FormatDecision, TellsRouteReasonNumbersAndCounterfactual) {
  CapturedTerminal captured;
  const std::string text = FormatDecision(Sample(), *captured.get());
  EXPECT_THAT(text, HasSubstr("route       far (home)\n"));
  EXPECT_THAT(text, HasSubstr("reason      net_value: far is worth more\n"));
  EXPECT_THAT(text, HasSubstr("41.0 % that the near answer is right"));
  EXPECT_THAT(text, HasSubstr("p_near"));
  EXPECT_THAT(text, HasSubstr("$0.000420"));
  EXPECT_THAT(text, HasSubstr("prompt.tokens"));
  EXPECT_THAT(text, HasSubstr("900 tokens"));
}

TEST(FormatDecision, SaysWhereNothingWouldFlipIt) {
  CapturedTerminal captured;
  Decision decision;
  decision.reason = Reason::kTainted;
  decision.taint = Taint::kSession;
  decision.flagged = true;
  const std::string text = FormatDecision(decision, *captured.get());
  EXPECT_THAT(text, HasSubstr("this conversation stays on the device"));
  EXPECT_THAT(text, HasSubstr("could not take it"));
  EXPECT_THAT(text, HasSubstr("No single number"));
  EXPECT_THAT(text, Not(HasSubstr("confidence")));
}

TEST(DecisionJson, HoldsEverything) {
  internal::JsonWriter json;
  DecisionJson(Sample(), &json);
  EXPECT_EQ(
      json.Take(),
      R"({"route":"far","target":"home","reason":"net_value","detail":"far is worth more",)"
      R"("score":0.0012,"threshold":0,"confidence":0.41,"propensity":1,"taint":"none",)"
      R"("flagged":false,)"
      R"("terms":[{"name":"p_near","value":0.41,"unit":"probability"},)"
      R"({"name":"price","value":0.00042,"unit":"usd"},{"name":"wait","value":1.25,"unit":"s"}],)"
      R"("flips":[{"input":"policy.threshold","current":0.5,"flips_at":0.81,"to":"near","unit":""},)"
      R"({"input":"prompt.tokens","current":40,"flips_at":900,"to":"near","unit":"tokens"}]})");
}

}  // namespace
}  // namespace nearfar::cli
