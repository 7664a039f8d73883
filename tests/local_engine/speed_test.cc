#include "local_engine/speed.h"

#include <atomic>
#include <cmath>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/tiny_engine.h"

namespace nearfar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<EngineSpeed> Measure(Engine& engine, const SpeedOptions& options) {
  const auto speed = MeasureSpeed(engine, options);
  if (!speed.ok()) return speed;
  EXPECT_TRUE(std::isfinite(speed->prefill_tokens_per_second));
  EXPECT_GT(speed->prefill_tokens_per_second, 0);
  for (const DecodeSpeed& decode : speed->decode) {
    EXPECT_TRUE(std::isfinite(decode.tokens_per_second));
    EXPECT_GT(decode.tokens_per_second, 0);
  }
  return speed;
}

TEST(Speed, IsToldOfEachDepthThatFits) {
  const auto engine = testing::OpenTinyEngine({.max_sessions = 1});
  const auto speed =
      Measure(*engine, {.prefill = 20, .decode = 6, .depths = {100, 0, 512, 300}, .runs = 2});
  ASSERT_TRUE(speed.ok()) << speed.status();
  ASSERT_EQ(speed->decode.size(), 3U);
  for (const int i : {0, 1, 2}) {
    const DecodeSpeed& decode = speed->decode[i];
    EXPECT_EQ(decode.depth, (std::vector<int>{100, 0, 300})[i]);
    EXPECT_GT(decode.positions, decode.depth);
    EXPECT_LE(decode.positions, PositionsNeeded(decode.depth, 6));
    EXPECT_FALSE(decode.joules_per_token.has_value());
  }
  EXPECT_THAT(speed->left_out, ElementsAre(512));
}

TEST(Speed, IsToldOfABatch) {
  const auto engine = testing::OpenTinyEngine({.max_sessions = 3});
  for (const int sequences : {3, 1}) {
    const int64_t before = engine->stats().decode_tokens;
    const auto speed = MeasureBatch(*engine, sequences, {.decode = 6, .runs = 2});
    ASSERT_TRUE(speed.ok()) << speed.status();
    EXPECT_TRUE(std::isfinite(*speed));
    EXPECT_GT(*speed, 0);
    EXPECT_GE(engine->stats().decode_tokens - before, 2 * 6 * sequences);
    EXPECT_EQ(engine->stats().live_sessions, 0);
  }
}

TEST(Speed, ABatchNeedsAsManySessionsAndSomeContext) {
  const auto engine = testing::OpenTinyEngine({.max_sessions = 2});
  const auto refuse = [&](int sequences, const SpeedOptions& options, absl::StatusCode code) {
    const absl::Status status = MeasureBatch(*engine, sequences, options).status();
    EXPECT_EQ(status.code(), code) << status;
  };
  refuse(0, {}, absl::StatusCode::kInvalidArgument);
  refuse(1, {.decode = 0}, absl::StatusCode::kInvalidArgument);
  refuse(1, {.decode = 512}, absl::StatusCode::kOutOfRange);
  refuse(3, {.decode = 2}, absl::StatusCode::kResourceExhausted);
}

TEST(Speed, LeavesNoSessionBehind) {
  const auto engine = testing::OpenTinyEngine({.max_sessions = 1});
  ASSERT_TRUE(Measure(*engine, {.prefill = 20, .decode = 3, .runs = 3}).ok());
  EXPECT_EQ(engine->stats().live_sessions, 0);
}

// Once a decoding begins and once it ends.
TEST(Speed, CountsTheEnergyOfDecodingAlone) {
  const auto engine = testing::OpenTinyEngine({.max_sessions = 1});
  std::atomic<int> calls{0};
  const auto speed =
      Measure(*engine, {.prefill = 20, .decode = 1, .joules = [&] { return calls++ * 3.0; }});
  ASSERT_TRUE(speed.ok()) << speed.status();
  EXPECT_DOUBLE_EQ(speed->decode[0].joules_per_token.value_or(0), calls / 2 * 3.0);
}

TEST(Speed, EnergyThatCannotBeReadIsNotKnown) {
  const auto engine = testing::OpenTinyEngine({.max_sessions = 1});
  std::atomic<int> calls{0};
  const auto once = [&]() -> std::optional<double> {
    if (calls++ > 0) return std::nullopt;
    return 1.0;
  };
  const auto speed = Measure(*engine, {.prefill = 20, .decode = 4, .joules = once});
  ASSERT_TRUE(speed.ok()) << speed.status();
  EXPECT_GE(calls, 2);
  EXPECT_FALSE(speed->decode[0].joules_per_token.has_value());
}

TEST(Speed, RefusesWhatCannotBeMeasured) {
  const auto engine = testing::OpenTinyEngine({.max_sessions = 1});
  const auto refuse = [&](const SpeedOptions& options, absl::StatusCode code, const char* says) {
    const absl::Status status = MeasureSpeed(*engine, options).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(status.message(), HasSubstr(says));
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  refuse({.prefill = 0}, invalid, "SpeedOptions::prefill: 0 is below 1");
  refuse({.decode = 0}, invalid, "SpeedOptions::decode: 0 is below 1");
  refuse({.depths = {0, -1}}, invalid, "SpeedOptions::depths: -1 is below 0");
  refuse({.runs = 0}, invalid, "SpeedOptions::runs: 0 is below 1");
  const auto range = absl::StatusCode::kOutOfRange;
  refuse({.prefill = 513}, range,
         "SpeedOptions::prefill: needs 513 positions, but the context has 512");
  refuse({.prefill = 9, .depths = {9999, 600}}, range, "SpeedOptions::depths: needs 748 positions");
}

TEST(Speed, OneTokenTakesWhatTheModelSays) {
  const auto engine = testing::OpenTinyEngine({.kernels = "scalar"});
  const ModelInfo& info = engine->info();
  EXPECT_DOUBLE_EQ(BytesPerToken(info, 0), info.weight_bytes);
  // Two layers, keys and values, 32 halves each.
  EXPECT_DOUBLE_EQ(BytesPerToken(info, 10), info.weight_bytes + 10 * 2 * 2 * 32 * 2);
  EXPECT_DOUBLE_EQ(OperationsPerToken(info, 1), 2.0 * (info.layer_weights + info.output_weights));
  EXPECT_DOUBLE_EQ(OperationsPerToken(info, 4),
                   2.0 * info.layer_weights + info.output_weights / 2.0);
  EXPECT_GT(info.weight_bytes, info.layer_weights + info.output_weights) << "Q8_0: and scales";
}

}  // namespace
}  // namespace nearfar
