// Requests from anyone are checked field by field; events keep everything on their way out.

#include "router/daemon/convert.h"

#include <cmath>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/sampling_options.h"

namespace nearfar::daemon {
namespace {

v1::RoutedRequest Good() {
  v1::RoutedRequest request;
  v1::ChatMessage* message = request.add_messages();
  message->set_role("user");
  message->set_content("hello");
  return request;
}

TEST(ConvertTest, AnEmptyRequestTakesTheDefaults) {
  const auto query = ToQuery(Good());
  ASSERT_TRUE(query.ok()) << query.status();
  EXPECT_EQ(query->sampling.temperature, 0);
  EXPECT_EQ(query->sampling.top_p, 1);
  EXPECT_EQ(query->sampling.repetition_penalty, 1);
  EXPECT_EQ(query->max_tokens, 0);
  EXPECT_FALSE(query->options.route);
  EXPECT_FALSE(query->options.max_cost_usd);
}

TEST(ConvertTest, AFullRequestKeepsEverything) {
  v1::RoutedRequest request = Good();
  request.set_request_id("r");
  request.set_session_key("s");
  request.set_max_tokens(9);
  request.add_stop("END");
  request.set_format(v1::RESPONSE_FORMAT_JSON);
  request.mutable_sampling()->set_temperature(0.5f);
  request.mutable_sampling()->set_seed(7);
  request.mutable_options()->set_route(v1::ROUTE_FAR);
  request.mutable_options()->set_max_cost_usd(0.5);
  request.mutable_options()->set_max_ttft_seconds(2);
  request.mutable_options()->set_min_confidence(0.75);
  request.mutable_options()->set_local_only(true);
  request.mutable_options()->set_allow_retract(true);
  const auto query = ToQuery(request);
  ASSERT_TRUE(query.ok()) << query.status();
  EXPECT_EQ(query->id, "r");
  EXPECT_EQ(query->session_key, "s");
  EXPECT_EQ(query->max_tokens, 9);
  EXPECT_EQ(query->stop, std::vector<std::string>{"END"});
  EXPECT_EQ(query->format, ResponseFormat::kJson);
  EXPECT_EQ(query->sampling.temperature, 0.5f);
  EXPECT_EQ(query->sampling.seed, 7u);
  EXPECT_EQ(query->options.route, Route::kFar);
  EXPECT_EQ(query->options.max_cost_usd, 0.5);
  EXPECT_EQ(query->options.max_ttft, absl::Seconds(2));
  EXPECT_EQ(query->options.min_confidence, 0.75);
  EXPECT_TRUE(query->options.local_only);
  EXPECT_TRUE(query->options.allow_retract);
}

TEST(ConvertTest, TheEnginesLimitsAreTheDaemons) {
  v1::RoutedRequest request = Good();
  request.clear_stop();
  for (int i = 0; i < kMostStops; ++i) request.add_stop(std::string(kMostStopBytes, 'x'));
  for (const float penalty : {kLeastRepetitionPenalty, kMostRepetitionPenalty}) {
    request.mutable_sampling()->set_repetition_penalty(penalty);
    EXPECT_TRUE(ToQuery(request).ok()) << penalty;
  }
}

TEST(ConvertTest, EveryBadFieldIsNamed) {
  const float nan = std::nanf("");
  const double infinity = std::numeric_limits<double>::infinity();
  using Spoil = std::function<void(v1::RoutedRequest*)>;
  const std::vector<std::pair<const char*, Spoil>> cases = {
      {"messages", [](auto* r) { r->clear_messages(); }},
      {"messages[0].role", [](auto* r) { r->mutable_messages(0)->set_role("root"); }},
      {"sampling.temperature", [&](auto* r) { r->mutable_sampling()->set_temperature(nan); }},
      {"sampling.temperature", [](auto* r) { r->mutable_sampling()->set_temperature(-1); }},
      {"sampling.top_k", [](auto* r) { r->mutable_sampling()->set_top_k(-1); }},
      {"sampling.top_p", [](auto* r) { r->mutable_sampling()->set_top_p(0); }},
      {"sampling.top_p", [&](auto* r) { r->mutable_sampling()->set_top_p(nan); }},
      {"sampling.min_p", [](auto* r) { r->mutable_sampling()->set_min_p(1); }},
      {"sampling.repetition_penalty",
       [](auto* r) { r->mutable_sampling()->set_repetition_penalty(0); }},
      {"sampling.repetition_penalty",
       [](auto* r) { r->mutable_sampling()->set_repetition_penalty(0.0099F); }},
      {"sampling.repetition_penalty",
       [](auto* r) { r->mutable_sampling()->set_repetition_penalty(100.1F); }},
      {"max_tokens", [](auto* r) { r->set_max_tokens(-1); }},
      {"max_tokens", [](auto* r) { r->set_max_tokens(std::numeric_limits<int32_t>::max()); }},
      {"stop", [](auto* r) { r->add_stop(""); }},
      {"stop", [](auto* r) { r->add_stop(std::string(1025, 'x')); }},
      {"stop",
       [](auto* r) {
         for (int i = 0; i < 100000; ++i) r->add_stop("x");
       }},
      {"format", [](auto* r) { r->set_format(static_cast<v1::ResponseFormat>(99)); }},
      {"session_key", [](auto* r) { r->set_session_key(std::string(300, 'x')); }},
      {"request_id", [](auto* r) { r->set_request_id(std::string(300, 'x')); }},
      {"options.route", [](auto* r) { r->mutable_options()->set_route(v1::ROUTE_REFUSE); }},
      {"options.route",
       [](auto* r) { r->mutable_options()->set_route(static_cast<v1::Route>(42)); }},
      {"options.max_cost_usd", [](auto* r) { r->mutable_options()->set_max_cost_usd(-1); }},
      {"options.max_ttft_seconds",
       [&](auto* r) { r->mutable_options()->set_max_ttft_seconds(infinity); }},
      {"options.min_confidence", [](auto* r) { r->mutable_options()->set_min_confidence(1.5); }},
  };
  for (const auto& [field, spoil] : cases) {
    v1::RoutedRequest request = Good();
    spoil(&request);
    const auto query = ToQuery(request);
    EXPECT_EQ(query.status().code(), absl::StatusCode::kInvalidArgument) << field;
    EXPECT_THAT(std::string(query.status().message()), ::testing::StartsWith(field));
  }
}

TEST(ConvertTest, GenerationsHaveTheSameChecks) {
  v1::GenerateRequest request;
  EXPECT_FALSE(ToBackendRequest(request).ok());
  v1::ChatMessage* message = request.add_messages();
  message->set_role("user");
  request.set_assistant_prefix("so far");
  const auto out = ToBackendRequest(request);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->assistant_prefix, "so far");
  EXPECT_EQ(out->max_tokens, 256);
  request.mutable_sampling()->set_top_k(-5);
  EXPECT_FALSE(ToBackendRequest(request).ok());
}

TEST(ConvertTest, ADecisionKeepsItsNumbers) {
  Decision decision;
  decision.route = Route::kFar;
  decision.target = "home";
  decision.reason = Reason::kDraftRejected;
  decision.detail = "why";
  decision.score = 0.25;
  decision.threshold = 0.5;
  decision.confidence = 0.75;
  decision.propensity = 0.9;
  decision.terms = {{"p_near", 0.1, "probability"}};
  decision.flips = {{"device.battery", 0.5, 0.2, Route::kNear, ""}};
  decision.taint = Taint::kSession;
  decision.flagged = true;
  const v1::Decision out = ToProto(decision);
  EXPECT_EQ(out.route(), v1::ROUTE_FAR);
  EXPECT_EQ(out.target(), "home");
  EXPECT_EQ(out.reason(), "draft_rejected");
  EXPECT_EQ(out.detail(), "why");
  EXPECT_EQ(out.score(), 0.25);
  EXPECT_EQ(out.threshold(), 0.5);
  EXPECT_EQ(out.confidence(), 0.75);
  EXPECT_EQ(out.propensity(), 0.9);
  EXPECT_EQ(out.moment(), "after");
  EXPECT_EQ(out.terms(0).name(), "p_near");
  EXPECT_EQ(out.flips(0).flips_at(), 0.2);
  EXPECT_EQ(out.flips(0).to(), v1::ROUTE_NEAR);
  EXPECT_EQ(out.taint(), v1::TAINT_SESSION);
  EXPECT_TRUE(out.flagged());
  EXPECT_FALSE(ToProto(Decision()).has_score());
  EXPECT_EQ(ToProto(Decision()).taint(), v1::TAINT_UNSPECIFIED);
}

TEST(ConvertTest, EventsKeepWhatTheySay) {
  Finished finished;
  finished.reason = FinishReason::kLength;
  finished.near_usage = {1, 2, 3};
  finished.far_usage = {4, 5, 6};
  finished.cost_usd = 0.5;
  finished.flagged = true;
  finished.flag_reason = "far_failed";
  finished.source = "near";
  finished.elapsed = absl::Seconds(2);
  finished.ttft = absl::Seconds(1);
  const v1::RoutedResponse out = ToProto(finished);
  EXPECT_EQ(out.finished().reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(out.finished().near_usage().cached_prompt_tokens(), 3);
  EXPECT_EQ(out.finished().far_usage().completion_tokens(), 5);
  EXPECT_FALSE(out.finished().has_confidence());
  EXPECT_TRUE(out.finished().flagged());
  EXPECT_EQ(out.finished().flag_reason(), "far_failed");
  EXPECT_EQ(out.finished().seconds(), 2);
  EXPECT_EQ(out.finished().ttft_seconds(), 1);

  Failed failed;
  failed.status = absl::ResourceExhaustedError("spent");
  failed.cost_usd = 0.25;
  EXPECT_EQ(ToProto(failed).failed().reason(), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(ToProto(failed).failed().message(), "spent");
  EXPECT_EQ(ToProto(Retract{7}).retract().from(), 7);
}

// A far side's words reach a proto3 string, which no client can read unless they are UTF-8.
TEST(ConvertTest, WhatQuotesAnotherSideIsValidUtf8) {
  Failed failed;
  failed.status = absl::UnavailableError("far said \xC3");
  failed.decision.detail = "cut \xE2\x82";
  const std::string wire = ToProto(failed).SerializeAsString();
  v1::RoutedResponse read;
  ASSERT_TRUE(read.ParseFromString(wire));
  EXPECT_EQ(read.failed().message(), "far said \xEF\xBF\xBD");
  EXPECT_EQ(read.failed().decision().detail(), "cut \xEF\xBF\xBD");
  EXPECT_EQ(FailureOf(failed.status).failed().message(), read.failed().message());
}

TEST(ConvertTest, AFailureBeforeAnyDecisionHasNone) {
  const v1::RoutedResponse out = FailureOf(absl::ResourceExhaustedError("full"));
  EXPECT_EQ(out.failed().reason(), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(out.failed().message(), "full");
  EXPECT_FALSE(out.failed().has_decision());
}

}  // namespace
}  // namespace nearfar::daemon
