// Holds local_engine/sampling/token_stats.h against sums in long double, over the shapes that break
// a careless softmax: huge logits, ties, one token, a largest logit that comes last.

#include "local_engine/sampling/token_stats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tests/testing/logit_stats.h"

namespace nearfar {
namespace {

using ::nearfar::testing::StatsOf;

struct Reference {
  long double log_sum_exp;
  long double entropy;
  long double margin;
};

Reference PlainStats(const std::vector<float>& logits) {
  std::vector<float> sorted = logits;
  std::sort(sorted.rbegin(), sorted.rend());
  const long double largest = sorted[0];
  long double sum = 0;
  long double weighted = 0;
  for (const float z : logits) {
    const long double e = std::exp(z - largest);
    sum += e;
    if (e > 0) weighted += (z - largest) * e;
  }
  const long double second = sorted.size() > 1 ? std::exp(sorted[1] - largest) : 0;
  return {largest + std::log(sum), std::log(sum) - weighted / sum, (1 - second) / sum};
}

void ExpectClose(const std::vector<float>& logits) {
  const LogitStats stats = StatsOf(logits);
  const Reference plain = PlainStats(logits);
  const double tolerance = 2e-6 * (1 + std::abs(static_cast<double>(plain.log_sum_exp)));
  EXPECT_NEAR(stats.log_sum_exp, static_cast<double>(plain.log_sum_exp), tolerance);
  EXPECT_NEAR(stats.entropy, static_cast<double>(plain.entropy), 1e-5);
  EXPECT_NEAR(stats.margin, static_cast<double>(plain.margin), 2e-6);
  EXPECT_GE(stats.entropy, 0);
  EXPECT_GE(stats.margin, 0);
  EXPECT_LE(stats.margin, 1);
  const auto best = std::max_element(logits.begin(), logits.end());
  EXPECT_EQ(stats.best, best - logits.begin());
  EXPECT_EQ(stats.best_logit, *best);
  EXPECT_LE(stats.Logprob(stats.best_logit), 1e-6);
}

TEST(TokenStatsTest, Uniform) {
  const std::vector<float> logits(1000, 3.5f);
  const LogitStats stats = StatsOf(logits);
  EXPECT_NEAR(stats.log_sum_exp, 3.5 + std::log(1000.0), 1e-6);
  EXPECT_NEAR(stats.entropy, std::log(1000.0), 1e-6);
  EXPECT_EQ(stats.margin, 0);
  EXPECT_EQ(stats.best, 0);
  EXPECT_EQ(stats.second, 1);
  EXPECT_NEAR(stats.Logprob(3.5f), -std::log(1000.0), 1e-6);
}

TEST(TokenStatsTest, TwoTokens) {
  const LogitStats stats = StatsOf({0.0f, std::log(3.0f)});
  EXPECT_EQ(stats.best, 1);
  EXPECT_EQ(stats.second, 0);
  EXPECT_NEAR(stats.margin, 0.5, 1e-6);
  EXPECT_NEAR(stats.entropy, -(0.75 * std::log(0.75) + 0.25 * std::log(0.25)), 1e-6);
  EXPECT_NEAR(stats.Logprob(stats.best_logit), std::log(0.75), 1e-6);
}

TEST(TokenStatsTest, OneToken) {
  const LogitStats stats = StatsOf({-7.0f});
  EXPECT_EQ(stats.best, 0);
  EXPECT_EQ(stats.log_sum_exp, -7);
  EXPECT_NEAR(stats.entropy, 0, 1e-12);
  EXPECT_EQ(stats.margin, 1);
}

TEST(TokenStatsTest, LowestIndexWinsATie) {
  std::vector<float> logits(5000, -1.0f);
  logits[4999] = logits[1500] = logits[1400] = 2.0f;
  const LogitStats stats = StatsOf(logits);
  EXPECT_EQ(stats.best, 1400);
  EXPECT_EQ(stats.second, 1500);
  EXPECT_EQ(stats.margin, 0);
}

TEST(TokenStatsTest, HugeLogits) {
  ExpectClose({3e38f, -3e38f, 0.0f});
  ExpectClose({-3e38f, -3e38f});
  ExpectClose({1e4f, 1e4f - 1, -1e4f});
  std::vector<float> rising(4096);
  for (size_t i = 0; i < rising.size(); ++i) rising[i] = static_cast<float>(i) * 50 - 1e5f;
  ExpectClose(rising);
  std::reverse(rising.begin(), rising.end());
  ExpectClose(rising);
}

TEST(TokenStatsTest, AnySize) {
  std::mt19937 random(17);
  std::normal_distribution<float> normal;
  for (const size_t size : {1, 2, 15, 16, 17, 1023, 1024, 1025, 2049, 49152, 151936}) {
    for (const float spread : {0.01f, 1.0f, 5.0f, 40.0f}) {
      std::vector<float> logits(size);
      for (float& z : logits) z = normal(random) * spread;
      ExpectClose(logits);
    }
  }
}

TEST(TokenStatsTest, TheTwoLargestMayBeInAnyBlocks) {
  for (const size_t best : {0, 700, 1024, 2500, 2999}) {
    for (const size_t second : {1, 699, 1023, 1025, 2998}) {
      std::vector<float> logits(3000, -4.0f);
      logits[best] = 2;
      logits[second] = 1;
      const LogitStats stats = StatsOf(logits);
      ASSERT_EQ(stats.best, best);
      ASSERT_EQ(stats.second, second);
      ExpectClose(logits);
    }
  }
}

TEST(TokenStatsTest, TheLargestMayBeAloneInTheLastBlock) {
  std::vector<float> logits(kLogitBlock + 1, 1.0f);
  logits.back() = 2;
  const LogitStats stats = StatsOf(logits);
  EXPECT_EQ(stats.best, kLogitBlock);
  EXPECT_EQ(stats.second, 0);
  ExpectClose(logits);
}

TEST(TokenStatsTest, OneLogitThatIsNotFiniteIsTold) {
  for (const float bad : {INFINITY, -INFINITY, NAN, -NAN}) {
    for (const size_t at : {0, 15, 1023, 1024, 1999}) {
      std::vector<float> logits(2000, 1.0f);
      EXPECT_TRUE(StatsOf(logits).finite);
      logits[at] = bad;
      EXPECT_FALSE(StatsOf(logits).finite) << bad << " at " << at;
    }
  }
}

TEST(TokenStatsTest, SecondIsTheSecondLargest) {
  std::mt19937 random(23);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> logits(2 + random() % 4000);
    for (float& z : logits) z = static_cast<float>(random() % 50);
    const LogitStats stats = StatsOf(logits);
    std::vector<float> sorted = logits;
    std::sort(sorted.rbegin(), sorted.rend());
    ASSERT_EQ(stats.second_logit, sorted[1]);
    ASSERT_EQ(logits[stats.second], sorted[1]);
    ASSERT_NE(stats.second, stats.best);
  }
}

}  // namespace
}  // namespace nearfar
