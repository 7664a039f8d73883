// Probabilities and the real line.

#include "policies/estimators/probability.h"

#include <gtest/gtest.h>

namespace nearfar {
namespace {

TEST(Probability, SigmoidIsTheInverseOfLogit) {
  for (double p : {0.001, 0.25, 0.5, 0.75, 0.999}) EXPECT_NEAR(Sigmoid(Logit(p)), p, 1e-12);
}

TEST(Probability, TheEndsAreReachedWithoutOverflow) {
  EXPECT_EQ(Sigmoid(1e6), 1);
  EXPECT_EQ(Sigmoid(-1e6), 0);
  EXPECT_EQ(NormalBelow(1e6), 1);
  EXPECT_EQ(NormalBelow(-1e6), 0);
}

TEST(Probability, TheNormalDistributionsKnownValues) {
  EXPECT_DOUBLE_EQ(NormalBelow(0), 0.5);
  EXPECT_NEAR(NormalBelow(1), 0.841344746, 1e-9);
  EXPECT_NEAR(NormalBelow(-1.959963985), 0.025, 1e-9);
}

}  // namespace
}  // namespace nearfar
