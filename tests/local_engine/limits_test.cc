// The facts of MeasureLimits that no other load on the machine can change.

#include "local_engine/limits.h"

#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/kernels/dispatch.h"

namespace nearfar {
namespace {

using ::testing::HasSubstr;

void ExpectSpeeds(const absl::StatusOr<MachineLimits>& limits) {
  ASSERT_TRUE(limits.ok()) << limits.status();
  for (const double speed : {limits->read_bytes_per_second, limits->int8_operations_per_second}) {
    EXPECT_TRUE(std::isfinite(speed));
    EXPECT_GT(speed, 0);
  }
}

TEST(Limits, AreSpeedsOfEveryTableThatThisCpuRuns) {
  for (const KernelChoice& choice : AllKernels()) {
    if (!choice.supported(ThisCpu())) continue;
    const auto limits =
        MeasureLimits({.threads = 2, .bytes = 5'000'001, .kernels = choice.table->name});
    ExpectSpeeds(limits);
    EXPECT_EQ(limits->kernels, choice.table->name);
    EXPECT_EQ(limits->bytes, 5'000'001);
  }
}

TEST(Limits, OfOneByteAndMoreThreadsThanCpusToo) {
  ExpectSpeeds(MeasureLimits({.threads = 1, .bytes = 1, .kernels = "scalar"}));
  ExpectSpeeds(MeasureLimits({.threads = 9, .bytes = 4096, .kernels = "scalar"}));
}

TEST(Limits, RefuseWhatCannotBeMeasured) {
  const auto refuse = [](const LimitOptions& options, const char* says) {
    const absl::Status status = MeasureLimits(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(status.message(), HasSubstr(says));
  };
  refuse({.threads = 0, .bytes = 1}, "LimitOptions::threads: 0");
  refuse({.threads = 513, .bytes = 1}, "LimitOptions::threads: 513");
  refuse({.threads = 1, .bytes = 0}, "LimitOptions::bytes: 0");
  refuse({.threads = 1, .bytes = 1, .kernels = "abacus"}, "abacus");
}

}  // namespace
}  // namespace nearfar
