// What local_engine/limits.cc times: all of it is computed, in every table.

#include <numeric>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/local_engine/kernels/kernel_testing.h"

namespace nearfar {
namespace {

class LimitKernelsTest : public testing::TestWithParam<const KernelTable*> {};

TEST_P(LimitKernelsTest, EveryDotProductIsComputed) {
  const KernelTable& table = *GetParam();
  const int64_t dots = table.dot_round_ops / (2 * kActivationBlock);
  EXPECT_EQ(dots * 2 * kActivationBlock, table.dot_round_ops);
  EXPECT_GT(dots, 0);
  for (const int64_t rounds : {0, 1, 2, 1000}) {
    EXPECT_EQ(table.dot_rounds(rounds), rounds * dots) << rounds;
  }
}

// Small whole numbers, whose sum is exact in any order.
TEST_P(LimitKernelsTest, EveryNumberOfAStreamIsAdded) {
  for (const int64_t n : {int64_t{0}, kSumGrain, 7 * kSumGrain}) {
    std::vector<float> x(n);
    std::iota(x.begin(), x.end(), 1.0f);
    EXPECT_EQ(GetParam()->sum_stream(x.data(), n), static_cast<float>(n * (n + 1) / 2)) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, LimitKernelsTest, testing::ValuesIn(TablesOfThisCpu()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace nearfar
