#include "router/tuning/collect.h"

#include <gtest/gtest.h>

#include "policies/estimators/draft_features.h"

namespace nearfar {
namespace {

class DoneCall : public BackendCall {
 public:
  void Cancel() override {}
};

// Answers at once, from within Start, with one delta a token.
class EchoBackend : public Backend {
 public:
  std::unique_ptr<BackendCall> Start(BackendRequest request, absl::Time deadline,
                                     std::shared_ptr<BackendSink> sink) override {
    last = request;
    if (!error.ok()) {
      sink->OnError({error, ErrorKind::kUnavailable, false});
      return std::make_unique<DoneCall>();
    }
    for (int i = 0; i < tokens; ++i) {
      BackendDelta delta;
      delta.text = i == 0 ? "42" : "";
      delta.tokens = {{i, -0.5f, 0.25f, 0.75f}};
      sink->OnDelta(delta);
    }
    BackendFinished finished;
    finished.usage.completion_tokens = tokens;
    finished.cost_usd = 0.001;
    sink->OnFinished(finished);
    return std::make_unique<DoneCall>();
  }
  BackendDescription Describe() const override {
    BackendDescription description;
    description.model = "echo";
    return description;
  }
  Health health() const override { return Health::kHealthy; }
  BackendSpeed speed() const override { return {}; }
  std::optional<int64_t> CountTokens(const std::vector<Message>&) const override { return {}; }

  int tokens = 20;
  absl::Status error;
  BackendRequest last;
};

Question Answerable() {
  Question question;
  question.id = "a";
  question.text = "What is 6 * 7?";
  question.metric = Metric::kNumber;
  question.accepted = {"42"};
  return question;
}

TEST(AskSide, GradesAndKeepsFeaturesAndPrefixes) {
  EchoBackend side;
  const auto outcome = AskSide(side, Answerable(), {}, /*with_features=*/true);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->score, 1);
  EXPECT_EQ(outcome->name, "echo");
  EXPECT_EQ(outcome->tokens, 20);
  EXPECT_DOUBLE_EQ(outcome->usd, 0.001);
  EXPECT_EQ(outcome->features.size(), DraftFeatureNames().size());
  EXPECT_EQ(outcome->prefixes.size(), 2u);  // after 8 and 16 tokens
  EXPECT_EQ(side.last.messages.size(), 1u);
  EXPECT_EQ(side.last.messages[0].content, "What is 6 * 7?");
  EXPECT_EQ(side.last.sampling.temperature, 0);
}

TEST(AskSide, LeavesFeaturesOutForTheFarSide) {
  EchoBackend side;
  const auto outcome = AskSide(side, Answerable(), {}, /*with_features=*/false);
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(outcome->features.empty());
  EXPECT_TRUE(outcome->prefixes.empty());
}

TEST(AskSide, ReportsTheSidesError) {
  EchoBackend side;
  side.error = absl::UnavailableError("gone");
  EXPECT_EQ(AskSide(side, Answerable(), {}, true).status(), side.error);
}

}  // namespace
}  // namespace nearfar
