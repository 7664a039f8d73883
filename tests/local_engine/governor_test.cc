// local_engine/governor.h: what it allows, by a clock and a thermometer of the test's.

#include "local_engine/governor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/synchronization/notification.h"
#include "tests/testing/fake_clock.h"

namespace nearfar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const absl::Time kStart = absl::FromUnixSeconds(1'000'000);

// ---- Tokens.

TEST(TokenPace, ATokenHasItsTime) {
  TokenPace pace(10);
  EXPECT_EQ(pace.Wait(kStart), absl::ZeroDuration());
  pace.Spend(4, kStart);  // what a quarter of a second saves is 2.5
  EXPECT_EQ(pace.Wait(kStart), absl::Milliseconds(150));
  EXPECT_EQ(pace.Wait(kStart + absl::Milliseconds(149)), absl::Milliseconds(1));
  EXPECT_EQ(pace.Wait(kStart + absl::Milliseconds(150)), absl::ZeroDuration());
}

TEST(TokenPace, PassesThatBeginLateDoNotAddUp) {
  TokenPace pace(10);
  absl::Time now = kStart;
  for (int pass = 0; pass < 1000; ++pass) {
    now += pace.Wait(now) + absl::Milliseconds(pass % 7);
    pace.Spend(1, now);
  }
  EXPECT_NEAR(absl::ToDoubleSeconds(now - kStart), 100, 0.5);
}

TEST(TokenPace, InNoTimeAreThereMoreThanItsShareAndWhatIsCaughtUp) {
  constexpr double kRate = 20;
  TokenPace pace(kRate);
  std::vector<absl::Time> tokens;
  absl::Time now = kStart;
  for (int pass = 0; pass < 300; ++pass) {
    if (pass % 50 == 0) now += absl::Seconds(pass);  // a rest
    now += pace.Wait(now) + absl::Milliseconds(pass % 11);
    const int together = 1 + pass % 3;
    pace.Spend(together, now);
    tokens.insert(tokens.end(), static_cast<size_t>(together), now);
  }
  for (size_t first = 0; first < tokens.size(); ++first) {
    for (size_t last = first; last < tokens.size(); ++last) {
      const double seconds = absl::ToDoubleSeconds(tokens[last] - tokens[first]);
      EXPECT_LE(static_cast<double>(last - first + 1), kRate * (seconds + 0.25) + 3 + 1e-6);
    }
  }
}

// ---- Heat.

// Threads after each second's reading.
std::vector<int> ThreadsAt(HeatSteps* heat, absl::Time* now, const std::vector<double>& readings) {
  std::vector<int> threads;
  for (const double celsius : readings) {
    heat->Read(celsius, *now);
    threads.push_back(heat->threads());
    *now += absl::Seconds(1);
  }
  return threads;
}

TEST(HeatSteps, HalfTheThreadsAtTheLimitAndHalfAgain) {
  HeatSteps heat(80, 6);
  absl::Time now = kStart;
  EXPECT_THAT(ThreadsAt(&heat, &now, {79.9, 80, 85, 85, 85, 85, 85}),
              ElementsAre(6, 3, 3, 3, 3, 3, 2));
  EXPECT_THAT(ThreadsAt(&heat, &now, {85, 85, 85, 85, 85, 85, 85, 85, 85, 85, 85}),
              ElementsAre(2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1));
}

TEST(HeatSteps, TheyComeBackOneStepAtATime) {
  HeatSteps heat(80, 4);
  absl::Time now = kStart;
  ThreadsAt(&heat, &now, {90, 90, 90, 90, 90, 90});
  ASSERT_EQ(heat.threads(), 1);
  EXPECT_THAT(ThreadsAt(&heat, &now, {75, 75, 75, 75, 75, 75, 75, 75, 75, 75, 75}),
              ElementsAre(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2));
  EXPECT_THAT(ThreadsAt(&heat, &now, {75, 75, 75, 75, 75, 75, 75, 75, 75, 75, 75}),
              ElementsAre(2, 2, 2, 2, 2, 2, 2, 2, 2, 4, 4));
}

TEST(HeatSteps, ALittleCoolerIsNotCool) {
  HeatSteps heat(80, 4);
  absl::Time now = kStart;
  ThreadsAt(&heat, &now, {80});
  ThreadsAt(&heat, &now, std::vector<double>(100, 75.1));
  EXPECT_EQ(heat.threads(), 2);
  ThreadsAt(&heat, &now, {75, 75, 75, 75, 75, 75, 75, 75, 75, 75.1, 75});
  EXPECT_EQ(heat.threads(), 2) << "it must last";
}

TEST(HeatSteps, OneThreadStaysOne) {
  HeatSteps heat(80, 1);
  absl::Time now = kStart;
  ThreadsAt(&heat, &now, std::vector<double>(60, 95));
  EXPECT_EQ(heat.threads(), 1);
}

// ---- Both.

TEST(GovernorTest, WithoutLimitsItHoldsNothing) {
  const auto governor = Governor::Create({.threads = 3}).value();
  EXPECT_EQ(governor->threads(), 3);
  EXPECT_EQ(governor->celsius(), std::nullopt);
  governor->Spend(1000);
  EXPECT_EQ(governor->DecodeWait(), absl::ZeroDuration());
}

TEST(GovernorTest, RefusesWhatIsNoLimit) {
  for (const double wrong : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(Governor::Create({.max_tokens_per_second = wrong}).status().code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(Governor::Create({.max_temperature = wrong}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(GovernorTest, ALimitWithoutAThermometerIsRefused) {
  const auto governor =
      Governor::Create({.max_temperature = 80, .thermometer = [] { return std::nullopt; }});
  EXPECT_EQ(governor.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(governor.status().message(), HasSubstr("EngineOptions::max_temperature"));
}

TEST(GovernorTest, TokensWaitByItsClock) {
  testing::FakeClock clock;
  const auto governor =
      Governor::Create({.max_tokens_per_second = 2, .now = clock.function()}).value();
  governor->Spend(1);
  EXPECT_EQ(governor->DecodeWait(), absl::Milliseconds(250));
  clock.Advance(absl::Milliseconds(250));
  EXPECT_EQ(governor->DecodeWait(), absl::ZeroDuration());
}

TEST(GovernorTest, ReadsAgainAndAgain) {
  testing::FakeClock clock;
  std::atomic<int> readings = 0;
  absl::Notification fourth;
  const auto hotter = [&]() -> std::optional<double> {
    clock.Advance(absl::Seconds(5));
    if (++readings == 4) fourth.Notify();
    return 90 + std::min(readings.load(), 3);
  };
  const auto governor = Governor::Create({.max_temperature = 80,
                                          .threads = 4,
                                          .thermometer = hotter,
                                          .now = clock.function(),
                                          .reading_period = absl::Milliseconds(1)})
                            .value();
  fourth.WaitForNotification();
  EXPECT_EQ(governor->threads(), 1);
  EXPECT_EQ(governor->celsius(), 93);
}

TEST(GovernorTest, AThermometerThatIsGoneChangesNothing) {
  std::atomic<int> readings = 0;
  absl::Notification third;
  const auto breaks = [&]() -> std::optional<double> {
    if (++readings == 3) third.Notify();
    if (readings > 1) return std::nullopt;
    return 90;
  };
  const auto governor = Governor::Create({.max_temperature = 80,
                                          .threads = 4,
                                          .thermometer = breaks,
                                          .reading_period = absl::Milliseconds(1)})
                            .value();
  third.WaitForNotification();
  EXPECT_EQ(governor->threads(), 2);
  EXPECT_EQ(governor->celsius(), std::nullopt);
}

}  // namespace
}  // namespace nearfar
