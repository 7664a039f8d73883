#include "router/tuning/outcome.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace nearfar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Write(const std::string& text) {
  const std::string path = testing::TempDir() + "/outcomes.jsonl";
  std::ofstream(path) << text << "\n";
  return path;
}

Outcome Example() {
  Outcome outcome;
  outcome.id = "addition-1-01";
  outcome.kind = "addition";
  outcome.template_name = "addition/0";
  outcome.level = 1;
  outcome.feature_version = 1;
  outcome.near =
      SideOutcome{"small", 1, 0, 0.25, 7, "f16", {-0.123456, 0, 42}, {{1, 2}, {3, 4}}, "12"};
  outcome.far = SideOutcome{"large", 0, 0.00002, 1.5, 9, "f16", {}, {}, "\xff"};
  return outcome;
}

TEST(Outcome, RoundTrips) {
  const auto outcomes = LoadOutcomes(Write(FormatOutcome(Example(), /*with_text=*/true)));
  ASSERT_TRUE(outcomes.ok()) << outcomes.status();
  ASSERT_EQ(outcomes->size(), 1u);
  const Outcome& read = outcomes->front();
  EXPECT_EQ(read.id, "addition-1-01");
  EXPECT_EQ(read.template_name, "addition/0");
  ASSERT_TRUE(read.near && read.far);
  EXPECT_EQ(read.near->tokens, 7);
  EXPECT_EQ(read.near->text, "12");
  ASSERT_EQ(read.near->features.size(), 3u);
  EXPECT_NEAR(read.near->features[0], -0.123456, 1e-5);
  EXPECT_EQ(read.near->features[2], 42);
  EXPECT_EQ(read.near->prefixes.size(), 2u);
  EXPECT_EQ(read.far->name, "large");
  EXPECT_DOUBLE_EQ(read.far->usd, 0.00002);
}

TEST(Outcome, KeepsNoTextUnlessAsked) {
  EXPECT_THAT(FormatOutcome(Example(), /*with_text=*/false), Not(HasSubstr("\"text\"")));
}

TEST(Outcome, KnowsHowKeysAndValuesWereKept) {
  EXPECT_THAT(FormatOutcome(Example(), false), Not(HasSubstr("kv_type"))) << "f16 is what it was";
  Outcome in_bytes = Example();
  in_bytes.near->kv_type = "q8_0";
  const auto read = LoadOutcomes(Write(FormatOutcome(in_bytes, false)));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->front().near->kv_type, "q8_0");
  EXPECT_EQ(*KvTypeOfOutcomes(*read), "q8_0");
  EXPECT_EQ(*KvTypeOfOutcomes({}), "f16");
  EXPECT_EQ(*KvTypeOfOutcomes({Example()}), "f16");
}

TEST(Outcome, OfTwoTypesOfKeysAndValuesFitNoCalibration) {
  Outcome in_bytes = Example();
  in_bytes.id = "other";
  in_bytes.near->kv_type = "q8_0";
  const auto type = KvTypeOfOutcomes({Example(), in_bytes});
  EXPECT_EQ(type.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(type.status().message()), HasSubstr("'addition-1-01'"));
  EXPECT_THAT(std::string(type.status().message()), HasSubstr("q8_0 in 'other'"));
}

TEST(Outcome, RefusesBadLines) {
  for (const char* line :
       {"[]", "{}", R"({"id":"a","near":3})", R"({"id":"a","near":{}})",
        R"({"id":"a","near":{"score":2}})", R"({"id":"a","near":{"score":1,"kv_type":8}})"}) {
    const auto outcomes = LoadOutcomes(Write(line));
    ASSERT_FALSE(outcomes.ok()) << line;
    EXPECT_THAT(std::string(outcomes.status().message()), HasSubstr(":1: "));
  }
}

TEST(Outcome, NamesTheNumberThatIsNone) {
  const auto message = [](const std::string& near) {
    const auto outcomes = LoadOutcomes(Write(R"({"id":"a","near":{"score":1,)" + near + "}}"));
    return std::string(outcomes.status().message());
  };
  EXPECT_THAT(message(R"("features":[0.5,null])"),
              HasSubstr(":1: near.features[1]: not a finite number"));
  EXPECT_THAT(message(R"("features":7)"), HasSubstr("near.features: not a list of numbers"));
  EXPECT_THAT(message(R"("prefixes":[[1],[2,"x"]])"),
              HasSubstr("near.prefixes[1][1]: not a finite number"));
  EXPECT_THAT(message(R"("prefixes":{})"), HasSubstr("near.prefixes: not a list of lists"));
  EXPECT_THAT(message(R"("tokens":1e300)"), HasSubstr("near.tokens: not a count"));
}

}  // namespace
}  // namespace nearfar
