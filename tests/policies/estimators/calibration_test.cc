#include "policies/estimators/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace nearfar {
namespace {

using testing::HasSubstr;

LogisticHead TwoFeatures() {
  LogisticHead head;
  head.features = {"a", "b"};
  head.weights = {1.0, -2.0};
  head.means = {0.5, 0.0};
  head.scales = {2.0, 1.0};
  head.bias = 0.25;
  return head;
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST(LogisticHead, DenseAndHashedAddUp) {
  LogisticHead head = TwoFeatures();
  head.hash_bits = 4;
  head.hashed_weights = {{3, 0.5f}, {9, -1.0f}};
  // 0.25 + 1 (2.5 - 0.5) / 2 - 2 * 0.5 + 0.5 * 2; bucket 5 has no weight.
  const std::vector<std::pair<uint32_t, float>> hashed = {{3, 2.0f}, {5, 7.0f}};
  EXPECT_DOUBLE_EQ(head.Logit(std::vector<double>{2.5, 0.5}, hashed), 1.25);
  EXPECT_NEAR(head.Probability(std::vector<double>{2.5, 0.5}, hashed), Sigmoid(1.25), 1e-12);
  ASSERT_TRUE(head.Check().ok()) << head.Check();
}

TEST(LogisticHead, WithoutHashBitsTheHashedPartIsIgnored) {
  const std::vector<std::pair<uint32_t, float>> hashed = {{3, 2.0f}};
  EXPECT_DOUBLE_EQ(TwoFeatures().Logit(std::vector<double>{0.5, 0.0}, hashed), 0.25);
}

TEST(LogisticHead, Platt) {
  LogisticHead head = TwoFeatures();
  head.platt = {2.0, -1.0};
  EXPECT_NEAR(head.Probability(std::vector<double>{0.5, 0.0}, {}), Sigmoid(2 * 0.25 - 1), 1e-12);
}

TEST(LogisticHead, IsotonicIsTheLineThroughItsPointsAndFlatBeyond) {
  LogisticHead head;
  head.isotonic_x = {0.4, 0.6, 0.8};
  head.isotonic_y = {0.1, 0.5, 0.5};
  const auto at = [&](double p) {
    head.bias = std::log(p / (1 - p));
    return head.Probability({}, {});
  };
  EXPECT_NEAR(at(0.1), 0.1, 1e-9);
  EXPECT_NEAR(at(0.5), 0.3, 1e-9);
  EXPECT_NEAR(at(0.7), 0.5, 1e-9);
  EXPECT_NEAR(at(0.99), 0.5, 1e-9);
}

TEST(LogisticHead, ExtremeInputsStayProbabilities) {
  LogisticHead head = TwoFeatures();
  const double inf = std::numeric_limits<double>::infinity();
  for (double x : {-1e300, 1e300, inf, -inf, std::nan("")}) {
    const double p = head.Probability(std::vector<double>{x, x}, {});
    EXPECT_GE(p, 0) << x;
    EXPECT_LE(p, 1) << x;
  }
}

TEST(LogisticHead, CheckNamesWhatIsWrong) {
  const auto message = [](auto change) {
    LogisticHead head = TwoFeatures();
    change(head);
    return std::string(head.Check().message());
  };
  EXPECT_THAT(message([](auto& h) { h.weights.pop_back(); }), HasSubstr("one entry a feature"));
  EXPECT_THAT(message([](auto& h) { h.scales[1] = 0; }), HasSubstr("'b'"));
  EXPECT_THAT(message([](auto& h) { h.bias = std::nan(""); }), HasSubstr("finite"));
  EXPECT_THAT(message([](auto& h) { h.hash_bits = 60; }), HasSubstr("hash_bits"));
  EXPECT_THAT(message([](auto& h) { h.hash_bits = 2, h.hashed_weights[4] = 1; }),
              HasSubstr("bucket 4"));
  EXPECT_THAT(message([](auto& h) { h.hashed_weights[4] = 1; }), HasSubstr("bucket 4"));
  EXPECT_THAT(message([](auto& h) { h.isotonic_x = {0.5}; }), HasSubstr("same length"));
  EXPECT_THAT(message([](auto& h) {
                h.isotonic_x = {0.5, 0.5}, h.isotonic_y = {0, 1};
              }),
              HasSubstr("must rise"));
  EXPECT_THAT(message([](auto& h) {
                h.isotonic_x = {0.1, 0.5}, h.isotonic_y = {1, 0};
              }),
              HasSubstr("must not fall"));
  EXPECT_THAT(message([](auto& h) { h.isotonic_x = {0.1}, h.isotonic_y = {2}; }),
              HasSubstr("[0, 1]"));
  EXPECT_THAT(message([](auto& h) {
                h.platt = {1, 0}, h.isotonic_x = {0.1}, h.isotonic_y = {1};
              }),
              HasSubstr("not both"));
}

TEST(Calibration, CheckPrefixWantsAHeadThatSaysALogitAndADeviation) {
  const auto message = [](auto change) {
    Calibration calibration;
    calibration.prefix = TwoFeatures();
    calibration.prefix_deviation = 0.5;
    change(calibration);
    return std::string(calibration.CheckPrefix().message());
  };
  EXPECT_EQ(message([](auto&) {}), "");
  EXPECT_EQ(message([](auto& c) { c.prefix_deviation.reset(); }), "");
  EXPECT_THAT(message([](auto& c) { c.prefix_deviation = 0; }), HasSubstr("above 0"));
  EXPECT_THAT(message([](auto& c) { c.prefix_deviation = std::nan(""); }), HasSubstr("above 0"));
  EXPECT_THAT(message([](auto& c) { c.prefix.reset(); }), HasSubstr("there is none"));
  EXPECT_THAT(message([](auto& c) { c.prefix->platt = {1, 0}; }), HasSubstr("says a logit"));
  EXPECT_THAT(message([](auto& c) { c.prefix->isotonic_x = {0.5}; }), HasSubstr("says a logit"));
}

}  // namespace
}  // namespace nearfar
