#include "router/tuning/grading.h"

#include <gtest/gtest.h>

namespace nearfar {
namespace {

Question Make(Metric metric, std::vector<std::string> accepted,
              std::vector<std::string> labels = {}) {
  Question question;
  question.metric = metric;
  question.accepted = std::move(accepted);
  question.labels = std::move(labels);
  return question;
}

TEST(LastNumber, ReadsTheLastOfManyShapes) {
  EXPECT_EQ(LastNumber("20 + 5 = 25."), 25);
  EXPECT_EQ(LastNumber("That is 1,234.50 dollars"), 1234.5);
  EXPECT_EQ(LastNumber("from 1, 2 and 3"), 3);
  EXPECT_EQ(LastNumber("x = -7"), -7);
  EXPECT_EQ(LastNumber("10-7"), 7);
  EXPECT_EQ(LastNumber("1,23"), 23);
  EXPECT_EQ(LastNumber("v1.2.3"), 3);
  EXPECT_FALSE(LastNumber("none").has_value());
  EXPECT_FALSE(LastNumber("").has_value());
}

TEST(FindWhole, KnowsWordAndNumberBoundaries) {
  EXPECT_EQ(FindWhole("Paris.", "paris"), 0u);
  EXPECT_EQ(FindWhole("the catalogue", "cat"), std::string_view::npos);
  EXPECT_EQ(FindWhole("3.14", "3"), std::string_view::npos);
  EXPECT_EQ(FindWhole("It is 3.", "3"), 6u);
  EXPECT_EQ(FindWhole("10.31 and 10.3", "10.3"), 10u);
  EXPECT_EQ(FindWhole("caf\xc3\xa9s", "caf\xc3\xa9"), std::string_view::npos);
  EXPECT_EQ(FindWhole("at 9:30, room 4", "9:30"), 3u);
  EXPECT_EQ(FindWhole("anything", ""), std::string_view::npos);
}

TEST(Grade, Number) {
  const Question question = Make(Metric::kNumber, {"391"});
  EXPECT_EQ(Grade(question, "17 * 23 = 391"), 1);
  EXPECT_EQ(Grade(question, "391.0"), 1);
  EXPECT_EQ(Grade(question, "It is 381"), 0);
  EXPECT_EQ(Grade(question, ""), 0);
}

TEST(Grade, ContainsAnyAcceptedWord) {
  const Question question = Make(Metric::kContains, {"tungsten", "wolfram"});
  EXPECT_EQ(Grade(question, "Wolfram, of course"), 1);
  EXPECT_EQ(Grade(question, "It is titanium."), 0);
}

TEST(Grade, LabelTakesTheFirstThatOccurs) {
  const Question question = Make(Metric::kLabel, {"negative"}, {"positive", "negative"});
  EXPECT_EQ(Grade(question, "Negative."), 1);
  EXPECT_EQ(Grade(question, "Positive, not negative."), 0);
  EXPECT_EQ(Grade(question, "neutral"), 0);
}

TEST(Grade, CodeIgnoresWhiteSpace) {
  const Question question = Make(Metric::kCode, {"s[::-1]"});
  EXPECT_EQ(Grade(question, "```python\nreversed_s = s[ :: -1]\n```"), 1);
  EXPECT_EQ(Grade(question, "reversed(s)"), 0);
}

}  // namespace
}  // namespace nearfar
