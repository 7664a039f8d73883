#include "policies/estimators/fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <set>
#include <string>

namespace nearfar {
namespace {

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// [0, 1), the same on every machine.
double Draw(std::mt19937_64& random) { return (random() >> 11) * 0x1.0p-53; }

// Labels drawn from sigmoid(1.5 x0 - 0.8 x1 + 0.4), with a third column that means nothing.
std::vector<FitRow> SimulatedRows(int n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<FitRow> rows;
  for (int i = 0; i < n; ++i) {
    FitRow row;
    for (int j = 0; j < 3; ++j) row.dense.push_back(4 * Draw(random) - 2);
    const double p = Sigmoid(1.5 * row.dense[0] - 0.8 * row.dense[1] + 0.4);
    row.label = Draw(random) < p;
    rows.push_back(row);
  }
  return rows;
}

const std::vector<std::string>& Names() {
  static const auto* names = new std::vector<std::string>{"a", "b", "c"};
  return *names;
}

TEST(FitLogistic, RecoversTheWeightsOfASimulation) {
  const LogisticHead head = FitLogistic(SimulatedRows(20000, 1), Names(), {});
  ASSERT_TRUE(head.Check().ok());
  EXPECT_NEAR(head.weights[0] / head.scales[0], 1.5, 0.08);
  EXPECT_NEAR(head.weights[1] / head.scales[1], -0.8, 0.08);
  EXPECT_NEAR(head.weights[2] / head.scales[2], 0, 0.08);
}

TEST(FitLogistic, StandsAtAStationaryPoint) {
  const std::vector<FitRow> rows = SimulatedRows(300, 2);
  LogisticOptions options;
  const LogisticHead head = FitLogistic(rows, Names(), options);
  // The gradient of the documented objective, computed here once more.
  for (size_t j = 0; j < 3; ++j) {
    double gradient = options.l2_dense * head.weights[j];
    for (const FitRow& row : rows) {
      gradient += (Sigmoid(head.Logit(row.dense, {})) - row.label) *
                  (row.dense[j] - head.means[j]) / head.scales[j];
    }
    EXPECT_NEAR(gradient, 0, 1e-4) << j;
  }
}

TEST(FitLogistic, LearnsBucketsAndIgnoresConstantColumns) {
  std::vector<FitRow> rows;
  for (int i = 0; i < 400; ++i) {
    FitRow row;
    row.dense = {7};
    row.hashed = {{i % 2 == 0 ? 5u : 9u, 1.0f}};
    row.label = i % 2 == 0;
    rows.push_back(row);
  }
  LogisticOptions options;
  options.hash_bits = 4;
  const LogisticHead head = FitLogistic(rows, {"constant"}, options);
  ASSERT_TRUE(head.Check().ok());
  EXPECT_NEAR(head.weights[0], 0, 1e-6);
  const std::vector<double> seven = {7};
  const std::vector<std::pair<uint32_t, float>> five = {{5, 1.0f}}, nine = {{9, 1.0f}};
  EXPECT_GT(head.Probability(seven, five), 0.8);
  EXPECT_LT(head.Probability(seven, nine), 0.2);
}

TEST(GroupFolds, KeepsGroupsTogetherAndFoldsEven) {
  std::vector<std::string> groups;
  for (int i = 0; i < 300; ++i) groups.push_back("group" + std::to_string(i % 30));
  const std::vector<int> folds = GroupFolds(groups, 5, 7);
  std::vector<int> sizes(5, 0);
  for (size_t i = 0; i < groups.size(); ++i) {
    EXPECT_EQ(folds[i], folds[i % 30]);
    ++sizes[folds[i]];
  }
  for (int size : sizes) EXPECT_EQ(size, 60);
  EXPECT_EQ(folds, GroupFolds(groups, 5, 7));
  EXPECT_NE(folds, GroupFolds(groups, 5, 8));
}

TEST(CrossLogits, NeverSeesItsOwnLabel) {
  // Labels that no feature explains, each row with a bucket of its own: a head that saw a row's
  // label would score it perfectly.
  std::mt19937_64 random(3);
  std::vector<FitRow> rows(200);
  std::vector<double> labels;
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].hashed = {{static_cast<uint32_t>(i), 1.0f}};
    rows[i].label = Draw(random) < 0.5;
    labels.push_back(rows[i].label);
  }
  std::vector<int> folds(rows.size());
  for (size_t i = 0; i < folds.size(); ++i) folds[i] = i % 5;
  LogisticOptions options;
  options.hash_bits = 8;
  options.l2_hashed = 0.01;
  EXPECT_LT(Auroc(CrossLogits(rows, folds, {}, options), labels), 0.65);
}

TEST(FitPlatt, UndoesAStretchedLogit) {
  std::mt19937_64 random(4);
  std::vector<double> logits, labels;
  for (int i = 0; i < 20000; ++i) {
    const double truth = 6 * Draw(random) - 3;
    logits.push_back(3 * truth + 1);
    labels.push_back(Draw(random) < Sigmoid(truth));
  }
  const auto [a, b] = FitPlatt(logits, labels);
  EXPECT_NEAR(a, 1 / 3.0, 0.02);
  EXPECT_NEAR(b, -1 / 3.0, 0.05);
}

TEST(FitIsotonic, PoolsWhatFalls) {
  const std::vector<double> scores = {1, 2, 3, 4, 5, 6};
  const std::vector<double> labels = {0, 1, 0, 0, 1, 1};
  const Isotonic line = FitIsotonic(scores, labels);
  ASSERT_EQ(line.x.size(), line.y.size());
  for (size_t i = 1; i < line.x.size(); ++i) {
    EXPECT_GT(line.x[i], line.x[i - 1]);
    EXPECT_GE(line.y[i], line.y[i - 1]);
  }
  EXPECT_NEAR(line.x[1], 3, 1e-12);  // 2, 3 and 4 are one pool
  EXPECT_NEAR(line.y[1], 1 / 3.0, 1e-12);
  EXPECT_NEAR(line.y.front(), 1 / 8.0, 1e-12);
  EXPECT_NEAR(line.y.back(), 7 / 8.0, 1e-12);
}

TEST(FitIsotonic, EqualScoresAreOnePointInAnyOrder) {
  const std::vector<double> half(10, 0.5);
  std::vector<double> labels(10, 0);
  for (size_t right : {size_t{0}, size_t{4}, size_t{9}}) {
    labels.assign(10, 0);
    labels[right] = 1;
    const Isotonic line = FitIsotonic(half, labels);
    ASSERT_EQ(line.x.size(), 1u) << right;
    EXPECT_NEAR(line.x[0], 0.5, 1e-12);
    EXPECT_NEAR(line.y[0], 0.1, 1e-12) << right;
  }
  // Ties among others: {0.2: 0 of 2, 0.5: 1 of 2, 0.8: 2 of 2}, read in both directions.
  std::vector<double> scores = {0.2, 0.2, 0.5, 0.5, 0.8, 0.8}, mixed = {0, 0, 0, 1, 1, 1};
  const Isotonic up = FitIsotonic(scores, mixed);
  std::reverse(scores.begin(), scores.end());
  std::reverse(mixed.begin(), mixed.end());
  const Isotonic down = FitIsotonic(scores, mixed);
  EXPECT_EQ(up.x, (std::vector<double>{0.2, 0.5, 0.8}));
  EXPECT_NEAR(up.y[1], 0.5, 1e-12);
  EXPECT_EQ(up.x, down.x);
  EXPECT_EQ(up.y, down.y);
}

TEST(Auroc, EqualsTheCountOfPairs) {
  std::mt19937_64 random(5);
  std::vector<double> scores, labels;
  for (int i = 0; i < 120; ++i) {
    scores.push_back(random() % 12);  // many ties
    labels.push_back(random() % 3 == 0);
  }
  double won = 0, pairs = 0;
  for (int i = 0; i < 120; ++i) {
    for (int j = 0; j < 120; ++j) {
      if (labels[i] < 0.5 || labels[j] >= 0.5) continue;
      ++pairs;
      won += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
    }
  }
  EXPECT_NEAR(Auroc(scores, labels), won / pairs, 1e-12);
  EXPECT_EQ(Auroc({1.0, 2.0}, {1.0, 1.0}), 0.5);
}

TEST(Ece, IsZeroForTheTruthAndLargeForABoast) {
  std::vector<double> truth, boast, labels;
  for (int i = 0; i < 1000; ++i) {
    labels.push_back(i % 2);
    truth.push_back(0.5);
    boast.push_back(0.9);
  }
  EXPECT_NEAR(Ece(truth, labels, 10), 0, 1e-12);
  EXPECT_NEAR(Ece(boast, labels, 10), 0.4, 1e-12);
  EXPECT_NEAR(Brier(truth, labels), 0.25, 1e-12);
}

// One group a row, or one for each `size` rows that follow each other.
std::vector<std::string> Groups(int rows, int size = 1) {
  std::vector<std::string> groups;
  for (int i = 0; i < rows; ++i) groups.push_back("group" + std::to_string(i / size));
  return groups;
}

// The mean share accepted and wrong on a fresh group, over 400 draws of (calibration set, group).
// The rows of a group are one question asked `size` times.
double RiskOnAFreshGroup(double promised, int groups, int size, uint64_t seed) {
  std::mt19937_64 random(seed);
  double total = 0;
  const int kRounds = 400;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<double> p, y;
    for (int i = 0; i < (groups + 1) * size; ++i) {
      const bool fresh = i % size == 0;
      p.push_back(fresh ? Draw(random) : p.back());
      y.push_back(fresh ? Draw(random) < p.back() : y.back());
    }
    const int rows = groups * size;
    const auto t = RiskThreshold(absl::MakeSpan(p).first(rows), absl::MakeSpan(y).first(rows),
                                 Groups(rows, size), promised);
    total += t && p.back() >= *t && y.back() < 0.5;
  }
  return total / kRounds;
}

TEST(RiskThreshold, HoldsItsPromiseInTheMean) {
  const double risk = RiskOnAFreshGroup(0.1, 150, 1, 6);
  EXPECT_LE(risk, 0.1 + 0.03);  // two standard errors of 400 draws
  EXPECT_GE(risk, 0.1 / 3);     // and it is no empty promise
}

TEST(RiskThreshold, HoldsItsPromiseWhereRowsComeInGroups) {
  EXPECT_LE(RiskOnAFreshGroup(0.1, 15, 10, 7), 0.1 + 0.03);
}

TEST(RiskThreshold, CountsGroupsAndNotRows) {
  // 100 right rows of 4 templates: four exchangeable units cannot promise 0.1.
  const std::vector<double> p(100, 0.9), y(100, 1.0);
  EXPECT_EQ(RiskThreshold(p, y, Groups(100, 25), 0.1), std::nullopt);
  EXPECT_EQ(RiskThreshold(p, y, Groups(100, 25), 0.2), 0.9);
  EXPECT_EQ(RiskThreshold(p, y, Groups(100), 0.1), 0.9);
}

TEST(RiskThreshold, IsEmptyWhereNothingHolds) {
  EXPECT_EQ(RiskThreshold({0.9, 0.8}, {0.0, 0.0}, Groups(2), 0.1), std::nullopt);
  EXPECT_EQ(RiskThreshold({}, {}, {}, 0.1), std::nullopt);
}

TEST(Figures, EndOnNumbersThatAreNotFinite) {
  const double nan = std::nan("");
  EXPECT_GE(Auroc({0.1, nan, 0.9, nan}, {0.0, 1.0, 1.0, 0.0}), 0);
  EXPECT_LE(FitIsotonic({0.1, nan, 0.9}, {0.0, 1.0, 1.0}).x.size(), 3u);
  RiskThreshold({0.1, nan, 0.9}, {0.0, 1.0, 1.0}, Groups(3), 0.5);
}

}  // namespace
}  // namespace nearfar
