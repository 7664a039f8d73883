// Holds local_engine/sampling/sampler.h: each filter against what it means, frequencies of draws
// against probabilities, and that a seed says everything.

#include "local_engine/sampling/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "local_engine/sampling/token_stats.h"
#include "tests/testing/logit_stats.h"

namespace nearfar {
namespace {

using ::nearfar::testing::StatsOf;
using ::testing::HasSubstr;

int32_t PickOne(Sampler* sampler, const std::vector<float>& logits,
                const std::vector<int32_t>& history = {}) {
  return sampler->Pick(logits, StatsOf(logits), history);
}

// How often each id is drawn.
std::vector<int> Draws(const SamplingOptions& options, const std::vector<float>& logits, int n,
                       const std::vector<int32_t>& history = {}) {
  Sampler sampler(options);
  std::vector<int> counts(logits.size());
  for (int i = 0; i < n; ++i) ++counts[PickOne(&sampler, logits, history)];
  return counts;
}

std::set<int> Drawn(const SamplingOptions& options, const std::vector<float>& logits) {
  const std::vector<int> counts = Draws(options, logits, 4000);
  std::set<int> ids;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > 0) ids.insert(static_cast<int>(i));
  }
  return ids;
}

std::vector<float> Logs(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  logits.reserve(probabilities.size());
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

TEST(SamplerTest, GreedyTakesTheBest) {
  Sampler sampler({});
  EXPECT_EQ(PickOne(&sampler, {1, 3, 2}), 1);
  EXPECT_EQ(PickOne(&sampler, {3, 3, 2}), 0);
}

TEST(SamplerTest, DrawsFollowTheProbabilities) {
  SamplingOptions options;
  options.temperature = 1;
  options.seed = 42;
  const std::vector<double> p = {0.1, 0.5, 0.05, 0.35};
  const int n = 40000;
  const std::vector<int> counts = Draws(options, Logs(p), n);
  for (size_t i = 0; i < p.size(); ++i) {
    // Six standard deviations; the seed is fixed, so this passes always or never.
    EXPECT_NEAR(counts[i], n * p[i], 6 * std::sqrt(n * p[i] * (1 - p[i]))) << i;
  }
}

TEST(SamplerTest, TemperatureSharpensAndFlattens) {
  const std::vector<double> p = {0.2, 0.8};
  SamplingOptions options;
  options.temperature = 0.5f;
  const int n = 20000;
  const double sharp = 0.04 / (0.04 + 0.64);
  EXPECT_NEAR(Draws(options, Logs(p), n)[0], n * sharp, 200);
  options.temperature = 1000;
  EXPECT_NEAR(Draws(options, Logs(p), n)[0], n * 0.5, 450);
  options.temperature = 1e-30f;
  EXPECT_EQ(Draws(options, Logs(p), 100)[1], 100);
}

TEST(SamplerTest, TopKKeepsTheKBest) {
  SamplingOptions options;
  options.temperature = 5;
  options.top_k = 2;
  EXPECT_EQ(Drawn(options, {1, 2, 0, 3, 1.5}), (std::set<int>{1, 3}));
  EXPECT_EQ(Drawn(options, {1, 1, 1, 1}), (std::set<int>{0, 1}));  // lower ids on a tie
  options.top_k = 100;
  EXPECT_EQ(Drawn(options, {1, 2, 3}).size(), 3u);
}

TEST(SamplerTest, TopPKeepsTheFewestThatReachIt) {
  SamplingOptions options;
  options.temperature = 1;
  const std::vector<float> logits = Logs({0.15, 0.5, 0.05, 0.3});
  options.top_p = 0.4f;
  EXPECT_EQ(Drawn(options, logits), (std::set<int>{1}));
  options.top_p = 0.7f;
  EXPECT_EQ(Drawn(options, logits), (std::set<int>{1, 3}));
  options.top_p = 0.9f;
  EXPECT_EQ(Drawn(options, logits), (std::set<int>{0, 1, 3}));
  // Of what top-k left: 0.5 and 0.3 are 0.625 and 0.375.
  options.top_p = 0.6f;
  options.top_k = 2;
  EXPECT_EQ(Drawn(options, logits), (std::set<int>{1}));
}

TEST(SamplerTest, MinPIsAShareOfTheBest) {
  SamplingOptions options;
  options.temperature = 1;
  const std::vector<float> logits = Logs({0.15, 0.5, 0.05, 0.3});
  options.min_p = 0.2f;
  EXPECT_EQ(Drawn(options, logits), (std::set<int>{0, 1, 3}));
  options.min_p = 0.5f;
  EXPECT_EQ(Drawn(options, logits), (std::set<int>{1, 3}));
  options.min_p = 0.99f;
  EXPECT_EQ(Drawn(options, logits), (std::set<int>{1}));
}

TEST(SamplerTest, WhatAFilterKeepsIsDrawnInProportion) {
  SamplingOptions options;
  options.temperature = 1;
  options.min_p = 0.2f;
  options.seed = 3;
  const int n = 40000;
  const std::vector<int> counts = Draws(options, Logs({0.15, 0.5, 0.05, 0.3}), n);
  EXPECT_NEAR(counts[0], n * 0.15 / 0.95, 450);
  EXPECT_NEAR(counts[1], n * 0.5 / 0.95, 600);
  EXPECT_NEAR(counts[3], n * 0.3 / 0.95, 550);
}

TEST(SamplerTest, RepetitionPenaltyDividesAndMultiplies) {
  SamplingOptions options;
  options.repetition_penalty = 2;
  Sampler sampler(options);
  EXPECT_EQ(PickOne(&sampler, {3, 2, -1}, {0}), 1);        // 1.5, 2, -1
  EXPECT_EQ(PickOne(&sampler, {3, 2, -1}, {0, 0, 1}), 0);  // 1.5, 1, -1: each once
  EXPECT_EQ(PickOne(&sampler, {-1, -1.5f, -3}, {0}), 1);   // -2, -1.5, -3
  EXPECT_EQ(PickOne(&sampler, {3, 2, -1}, {7, -5}), 0);    // ids that are no tokens
}

TEST(SamplerTest, RepetitionLooksBackOnlySoFar) {
  SamplingOptions options;
  options.repetition_penalty = 2;
  options.repetition_window = 2;
  Sampler sampler(options);
  EXPECT_EQ(PickOne(&sampler, {3, 2, 0}, {0, 2, 2}), 0);
  EXPECT_EQ(PickOne(&sampler, {3, 2, 0}, {2, 0, 2}), 1);
}

TEST(SamplerTest, APenaltyChangesTheDrawToo) {
  SamplingOptions options;
  options.temperature = 1;
  options.repetition_penalty = 100;
  const std::vector<int> counts = Draws(options, {10, 10, -10}, 1000, {0});
  EXPECT_EQ(counts[1], 1000 - counts[0]);
  EXPECT_LT(counts[0], 5);
}

// A penalised logit that leaves the range of floats must leave something to draw from.
TEST(SamplerTest, APenaltyNeverLeadsOutOfTheNumbers) {
  constexpr float kMost = std::numeric_limits<float>::max();
  for (const float penalty : {1e-38f, kLeastRepetitionPenalty, kMostRepetitionPenalty, 1e38f}) {
    for (const float temperature : {0.0f, 1e-30f, 1.0f}) {
      SamplingOptions options;
      options.temperature = temperature;
      options.repetition_penalty = penalty;
      for (const std::vector<float>& logits :
           {std::vector<float>{4, 5, 1}, {kMost, kMost, -kMost}, {-kMost, -kMost, -kMost}}) {
        Sampler sampler(options);
        const int32_t id = PickOne(&sampler, logits, {0, 1, 0});
        EXPECT_TRUE(id >= 0 && id < 3) << "penalty " << penalty << ", temperature " << temperature;
      }
    }
  }
  SamplingOptions options;
  options.temperature = 1;
  options.repetition_penalty = 1e-38f;
  EXPECT_EQ(Draws(options, {1, 5, 8}, 100, {1})[1], 100);  // 5 / 1e-38 is the largest number
}

TEST(SamplerTest, WithoutADistributionTheBestIsTaken) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  SamplingOptions options;
  options.temperature = 1;
  Sampler sampler(options);
  LogitStats stats;
  stats.best = 1;
  EXPECT_EQ(sampler.Pick({1.0f, nan}, stats, {}), 1);
}

TEST(SamplerTest, ASeedSaysEverything) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(2000);
  for (float& z : logits) z = normal(random);
  SamplingOptions options;
  options.temperature = 0.9f;
  options.top_p = 0.95f;
  options.seed = 7;
  EXPECT_EQ(Draws(options, logits, 500), Draws(options, logits, 500));
  SamplingOptions other = options;
  other.seed = 8;
  EXPECT_NE(Draws(options, logits, 500), Draws(other, logits, 500));
}

// These ids were drawn on x86-64; every machine must draw them.
TEST(SamplerTest, TheSameTokensOnEveryMachine) {
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i) {
    logits[i] = static_cast<float>((i * 7919 + 13) % 1000) * 0.0078125f;  // exact in binary
  }
  SamplingOptions options;
  options.temperature = 0.7f;
  options.seed = 2024;
  const auto draw = [&] {
    Sampler sampler(options);
    std::vector<int32_t> ids;
    ids.reserve(8);
    for (int i = 0; i < 8; ++i) ids.push_back(PickOne(&sampler, logits, ids));
    return ids;
  };
  EXPECT_THAT(draw(), ::testing::ElementsAre(421, 383, 445, 25, 533, 606, 667, 495));
  options.top_k = 200;
  options.top_p = 0.9f;
  options.min_p = 0.05f;
  options.repetition_penalty = 1.1f;
  EXPECT_THAT(draw(), ::testing::ElementsAre(396, 741, 519, 383, 915, 149, 346, 38));
}

TEST(SamplingOptionsTest, DefaultsAndEdgesAreFine) {
  EXPECT_TRUE(CheckSamplingOptions({}).ok());
  SamplingOptions options;
  options.temperature = 2;
  options.top_k = 1;
  options.top_p = 1e-6f;
  options.min_p = 0.999f;
  options.repetition_window = 0;
  for (const float penalty : {kLeastRepetitionPenalty, 0.5f, kMostRepetitionPenalty}) {
    options.repetition_penalty = penalty;
    EXPECT_TRUE(CheckSamplingOptions(options).ok()) << penalty;
  }
}

TEST(SamplingOptionsTest, NamesTheOptionThatIsOutOfRange) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  const auto refuse = [](const char* name, auto set) {
    SamplingOptions options;
    set(&options);
    const absl::Status status = CheckSamplingOptions(options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  };
  for (const float bad : {-0.1f, nan, infinite}) {
    refuse("temperature", [&](auto* o) { o->temperature = bad; });
  }
  for (const float bad : {0.0f, -1.0f, 1.1f, nan})
    refuse("top_p", [&](auto* o) { o->top_p = bad; });
  for (const float bad : {-0.1f, 1.0f, nan}) refuse("min_p", [&](auto* o) { o->min_p = bad; });
  for (const float bad : {0.0f, -1.0f, 1e-38f, 0.0099f, 100.1f, nan, infinite}) {
    refuse("repetition_penalty", [&](auto* o) { o->repetition_penalty = bad; });
  }
  refuse("top_k", [](auto* o) { o->top_k = -1; });
  refuse("repetition_window", [](auto* o) { o->repetition_window = -1; });
}

}  // namespace
}  // namespace nearfar
