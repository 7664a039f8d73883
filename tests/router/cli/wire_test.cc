#include "router/cli/wire.h"

#include <gtest/gtest.h>

namespace nearfar::cli {
namespace {

TEST(ToWire, CarriesTheWholeQuery) {
  Query query;
  query.id = "q1";
  query.session_key = "s";
  query.messages = {{"system", "be brief"}, {"user", "hi"}};
  query.sampling = {.temperature = 0.5F,
                    .top_k = 3,
                    .top_p = 0.9F,
                    .min_p = 0.1F,
                    .repetition_penalty = 1.1F,
                    .seed = 7};
  query.max_tokens = 12;
  query.stop = {"END"};
  query.format = ResponseFormat::kJson;
  query.options.route = Route::kFar;
  query.options.max_cost_usd = 0.25;
  query.options.max_ttft = absl::Milliseconds(1500);
  query.options.min_confidence = 0.75;
  query.options.local_only = true;
  const nearfar::v1::RoutedRequest wire = ToWire(query);
  EXPECT_EQ(wire.request_id(), "q1");
  EXPECT_EQ(wire.session_key(), "s");
  ASSERT_EQ(wire.messages_size(), 2);
  EXPECT_EQ(wire.messages(1).role(), "user");
  EXPECT_EQ(wire.messages(1).content(), "hi");
  EXPECT_EQ(wire.sampling().temperature(), 0.5F);
  EXPECT_EQ(wire.sampling().top_k(), 3);
  EXPECT_EQ(wire.sampling().top_p(), 0.9F);
  EXPECT_EQ(wire.sampling().min_p(), 0.1F);
  EXPECT_EQ(wire.sampling().repetition_penalty(), 1.1F);
  EXPECT_EQ(wire.sampling().seed(), 7U);
  EXPECT_EQ(wire.max_tokens(), 12);
  EXPECT_EQ(wire.stop(0), "END");
  EXPECT_EQ(wire.format(), nearfar::v1::RESPONSE_FORMAT_JSON);
  EXPECT_EQ(wire.options().route(), nearfar::v1::ROUTE_FAR);
  EXPECT_EQ(wire.options().max_cost_usd(), 0.25);
  EXPECT_EQ(wire.options().max_ttft_seconds(), 1.5);
  EXPECT_EQ(wire.options().min_confidence(), 0.75);
  EXPECT_TRUE(wire.options().local_only());
  EXPECT_FALSE(wire.options().allow_retract());
}

TEST(ToWire, LeavesOutWhatWasNotAskedFor) {
  const nearfar::v1::RoutedRequest wire = ToWire(Query{});
  EXPECT_EQ(wire.options().route(), nearfar::v1::ROUTE_UNSPECIFIED);
  EXPECT_FALSE(wire.options().has_max_cost_usd());
  EXPECT_FALSE(wire.options().has_max_ttft_seconds());
  EXPECT_FALSE(wire.options().has_min_confidence());
}

TEST(FromWire, KnowsEveryReasonByItsCode) {
  for (int i = 0; i <= static_cast<int>(Reason::kNearFailed); ++i) {
    nearfar::v1::Decision wire;
    wire.set_reason(ReasonName(static_cast<Reason>(i)));
    EXPECT_EQ(FromWire(wire).reason, static_cast<Reason>(i)) << wire.reason();
  }
}

TEST(FromWire, KeepsTheNameOfAReasonOfANewerDaemon) {
  nearfar::v1::Decision wire;
  wire.set_reason("moon_phase");
  wire.set_detail("full");
  EXPECT_EQ(FromWire(wire).detail, "moon_phase: full");
}

TEST(FromWire, CarriesTheDecision) {
  nearfar::v1::Decision wire;
  wire.set_route(nearfar::v1::ROUTE_DRAFT);
  wire.set_target("home");
  wire.set_reason("cascade");
  wire.set_score(0.5);
  wire.set_confidence(0.25);
  auto* term = wire.add_terms();
  term->set_name("p_near");
  term->set_value(0.25);
  term->set_unit("probability");
  auto* flip = wire.add_flips();
  flip->set_input("device.battery");
  flip->set_current(0.9);
  flip->set_flips_at(0.1);
  flip->set_to(nearfar::v1::ROUTE_FAR);
  wire.set_taint(nearfar::v1::TAINT_TURN);
  wire.set_flagged(true);
  const Decision decision = FromWire(wire);
  EXPECT_EQ(decision.taint, Taint::kTurn);
  EXPECT_TRUE(decision.flagged);
  EXPECT_EQ(decision.route, Route::kDraft);
  EXPECT_EQ(decision.target, "home");
  EXPECT_EQ(decision.reason, Reason::kCascade);
  EXPECT_EQ(decision.score, 0.5);
  EXPECT_FALSE(decision.threshold.has_value());
  EXPECT_EQ(decision.confidence, 0.25);
  ASSERT_EQ(decision.terms.size(), 1U);
  EXPECT_EQ(decision.terms[0].name, "p_near");
  ASSERT_EQ(decision.flips.size(), 1U);
  EXPECT_EQ(decision.flips[0].to, Route::kFar);
  EXPECT_EQ(decision.flips[0].flips_at, 0.1);
}

TEST(FromWire, CarriesTheEnd) {
  nearfar::v1::RoutedResponse::Finished wire;
  wire.set_reason(nearfar::v1::FINISH_REASON_LENGTH);
  wire.mutable_near_usage()->set_completion_tokens(5);
  wire.mutable_far_usage()->set_prompt_tokens(9);
  wire.set_cost_usd(0.125);
  wire.set_flagged(true);
  wire.set_flag_reason("far_failed");
  wire.set_seconds(2.5);
  wire.set_ttft_seconds(0.5);
  wire.set_source("home");
  const Finished finished = FromWire(wire, "text");
  EXPECT_EQ(finished.reason, FinishReason::kLength);
  EXPECT_EQ(finished.text, "text");
  EXPECT_EQ(finished.near_usage.completion_tokens, 5);
  EXPECT_EQ(finished.far_usage.prompt_tokens, 9);
  EXPECT_EQ(finished.cost_usd, 0.125);
  EXPECT_FALSE(finished.confidence.has_value());
  EXPECT_TRUE(finished.flagged);
  EXPECT_EQ(finished.flag_reason, "far_failed");
  EXPECT_EQ(finished.source, "home");
  EXPECT_EQ(finished.elapsed, absl::Milliseconds(2500));
  EXPECT_EQ(finished.ttft, absl::Milliseconds(500));
}

}  // namespace
}  // namespace nearfar::cli
