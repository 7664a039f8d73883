#include "policies/estimators/draft_features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>

namespace nearfar {
namespace {

double Value(const std::vector<double>& values, std::string_view name) {
  for (size_t i = 0; i < DraftFeatureNames().size(); ++i) {
    if (name == DraftFeatureNames()[i]) return values[i];
  }
  ADD_FAILURE() << "no feature " << name;
  return 0;
}

TEST(DraftFeatures, NamesAreUniqueAndMatchTheValues) {
  std::set<std::string> names;
  for (const char* name : DraftFeatureNames()) EXPECT_TRUE(names.insert(name).second) << name;
  DraftFeatures features(10);
  EXPECT_EQ(features.Values(false, false), std::vector<double>(names.size(), 0.0));
  features.Add(1, -0.5, 1.0, 0.25, "x");
  EXPECT_EQ(features.Values(false, false).size(), names.size());
}

TEST(DraftFeatures, Statistics) {
  DraftFeatures features(8);
  features.Add(10, -1.0, 2.0, 0.5, "The");
  features.Add(11, -3.0, 4.0, 0.1, " ");
  features.Add(12, -2.0, 0.0, 0.9, "42");
  features.Add(13, -0.0, 2.0, 0.5, "!");
  const std::vector<double> v = features.Values(true, false);
  EXPECT_DOUBLE_EQ(Value(v, "logprob_mean"), -1.5);
  EXPECT_DOUBLE_EQ(Value(v, "logprob_min"), -3);
  EXPECT_DOUBLE_EQ(Value(v, "logprob_q50"), -1.5);
  EXPECT_DOUBLE_EQ(Value(v, "logprob_q10"), -2.7);
  EXPECT_DOUBLE_EQ(Value(v, "logprob_first"), -1);
  EXPECT_DOUBLE_EQ(Value(v, "margin_mean"), 0.5);
  EXPECT_DOUBLE_EQ(Value(v, "margin_min"), 0.1);
  EXPECT_DOUBLE_EQ(Value(v, "entropy_first"), 2);
  EXPECT_DOUBLE_EQ(Value(v, "entropy_mean"), 2);
  EXPECT_DOUBLE_EQ(Value(v, "entropy_max"), 4);
  EXPECT_DOUBLE_EQ(Value(v, "tokens_of_limit"), 0.5);
  EXPECT_DOUBLE_EQ(Value(v, "digit_min"), -2);
  EXPECT_DOUBLE_EQ(Value(v, "word_mean"), -1.5);
  EXPECT_EQ(Value(v, "finished"), 1);
  EXPECT_EQ(Value(v, "hit_limit"), 0);
}

TEST(DraftFeatures, LowestWindowIsTheWorstStretchOfEight) {
  DraftFeatures features(0);
  std::vector<double> all;
  for (int i = 0; i < 40; ++i) {
    const double logprob = i >= 12 && i < 20 ? -4.0 : -0.1 * (i % 3);
    all.push_back(logprob);
    features.Add(i, logprob, 0, 0, "");
  }
  double lowest = 0;
  for (size_t i = 0; i + 8 <= all.size(); ++i) {
    double sum = 0;
    for (size_t j = i; j < i + 8; ++j) sum += all[j];
    lowest = std::min(lowest, sum / 8);
  }
  const std::vector<double> v = features.Values(false, false);
  EXPECT_NEAR(Value(v, "window_min"), lowest, 1e-9);
  EXPECT_NEAR(lowest, -4.0, 1e-12);
  EXPECT_EQ(Value(v, "tokens_of_limit"), 0);
}

TEST(DraftFeatures, QuantilesEqualThoseOfASortedCopy) {
  DraftFeatures features(100);
  std::vector<double> all;
  uint32_t state = 7;
  for (int i = 0; i < 101; ++i) {
    state = state * 1664525u + 1013904223u;
    all.push_back(-static_cast<double>(state >> 20) / 1000);
    features.Add(i, all.back(), 0, 0, "");
  }
  std::sort(all.begin(), all.end());
  const std::vector<double> v = features.Values(false, true);
  EXPECT_DOUBLE_EQ(Value(v, "logprob_q10"), all[10]);
  EXPECT_DOUBLE_EQ(Value(v, "logprob_q20"), all[20]);
  EXPECT_DOUBLE_EQ(Value(v, "logprob_q50"), all[50]);
  EXPECT_EQ(Value(v, "hit_limit"), 1);
}

TEST(DraftFeatures, RepetitionIsTheShareOfTrigramsSeenBefore) {
  DraftFeatures features(100);
  for (int i = 0; i < 12; ++i) features.Add(i % 3, -1, 0, 0, "");
  // Ten trigrams of three kinds: seven were seen before.
  EXPECT_DOUBLE_EQ(Value(features.Values(false, false), "repetition"), 0.7);
}

TEST(DraftFeatures, NumbersThatAreNotFiniteCountAsTheWorst) {
  DraftFeatures features(4);
  const double inf = std::numeric_limits<double>::infinity();
  features.Add(1, -inf, inf, std::nan(""), "a");
  features.Add(2, std::nan(""), 1, inf, "b");
  for (double value : features.Values(true, true)) EXPECT_TRUE(std::isfinite(value));
}

}  // namespace
}  // namespace nearfar
