// Holds router/internal/check_query.h: what is refused, and that a message never quotes the query.

#include "router/internal/check_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>

#include "local_engine/sampling_options.h"

namespace nearfar::internal {
namespace {

Query Good() {
  Query query;
  query.messages = {{"system", ""}, {"user", "secret question"}};
  return query;
}

TEST(CheckQuery, AUsualQueryPasses) {
  EXPECT_TRUE(CheckQuery(Good()).ok());
  Query tool = Good();
  tool.messages.push_back({"assistant", ""});
  tool.messages.push_back({"tool", "42"});
  EXPECT_TRUE(CheckQuery(tool).ok());
}

struct Case {
  const char* field;
  std::function<void(Query*)> spoil;
};

// What the near engine takes, neither more nor less.
TEST(CheckQuery, TheEnginesLimitsAreTheRouters) {
  Query query = Good();
  query.stop.assign(kMostStops, std::string(kMostStopBytes, 'x'));
  for (const float penalty : {kLeastRepetitionPenalty, kMostRepetitionPenalty}) {
    query.sampling.repetition_penalty = penalty;
    EXPECT_TRUE(CheckQuery(query).ok()) << penalty;
  }
}

TEST(CheckQuery, EachMistakeIsNamedByItsField) {
  const Case cases[] = {
      {"messages", [](Query* q) { q->messages.clear(); }},
      {"messages",
       [](Query* q) {
         q->messages.assign(5000, {"user", "x"});
       }},
      {"messages", [](Query* q) { q->messages.back().content.clear(); }},
      {"messages", [](Query* q) { q->messages.back().role = "assistant"; }},
      {"messages", [](Query* q) { q->messages.back().content.assign(9 << 20, 'x'); }},
      {"messages[0].role", [](Query* q) { q->messages[0].role = "User"; }},
      {"messages[1].content", [](Query* q) { q->messages[1].content = "secret \xC0\x80"; }},
      {"id", [](Query* q) { q->id.assign(300, 'x'); }},
      {"session_key", [](Query* q) { q->session_key.assign(300, 'x'); }},
      {"max_tokens", [](Query* q) { q->max_tokens = -1; }},
      {"max_tokens", [](Query* q) { q->max_tokens = 1 << 30; }},
      {"sampling.temperature", [](Query* q) { q->sampling.temperature = -1; }},
      {"sampling.temperature", [](Query* q) { q->sampling.temperature = std::nanf(""); }},
      {"sampling.top_k", [](Query* q) { q->sampling.top_k = -1; }},
      {"sampling.top_p", [](Query* q) { q->sampling.top_p = 0; }},
      {"sampling.min_p", [](Query* q) { q->sampling.min_p = 1; }},
      {"sampling.repetition_penalty", [](Query* q) { q->sampling.repetition_penalty = 0; }},
      {"sampling.repetition_penalty",
       [](Query* q) {
         q->sampling.repetition_penalty = std::nextafter(kLeastRepetitionPenalty, 0.0f);
       }},
      {"sampling.repetition_penalty",
       [](Query* q) {
         q->sampling.repetition_penalty = std::nextafter(kMostRepetitionPenalty, 1e9f);
       }},
      {"stop", [](Query* q) { q->stop = {""}; }},
      {"stop", [](Query* q) { q->stop.assign(kMostStops + 1, "x"); }},
      {"stop", [](Query* q) { q->stop = {std::string(kMostStopBytes + 1, 'x')}; }},
      {"options.route", [](Query* q) { q->options.route = Route::kRefuse; }},
      {"options.max_cost_usd", [](Query* q) { q->options.max_cost_usd = -0.1; }},
      {"options.max_cost_usd", [](Query* q) { q->options.max_cost_usd = std::nan(""); }},
      {"options.max_ttft", [](Query* q) { q->options.max_ttft = -absl::Seconds(1); }},
      {"options.min_confidence", [](Query* q) { q->options.min_confidence = 1.1; }},
  };
  for (const Case& each : cases) {
    Query query = Good();
    each.spoil(&query);
    absl::Status status = CheckQuery(query);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << each.field;
    const std::string message(status.message());
    EXPECT_EQ(message.rfind(std::string(each.field) + ":", 0), 0u) << message;
    EXPECT_EQ(message.find("secret"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace nearfar::internal
