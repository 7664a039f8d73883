// The rounds of dot products that limits.cc times: all of them are computed, in every table.

#include <string>

#include "gtest/gtest.h"
#include "tests/local_engine/kernels/kernel_testing.h"

namespace nearfar {
namespace {

class DotPeakTest : public testing::TestWithParam<const KernelTable*> {};

TEST_P(DotPeakTest, EveryDotProductIsComputed) {
  const KernelTable& table = *GetParam();
  const int64_t dots = table.dot_round_ops / (2 * kActivationBlock);
  EXPECT_EQ(dots * 2 * kActivationBlock, table.dot_round_ops);
  EXPECT_GT(dots, 0);
  for (const int64_t rounds : {0, 1, 2, 1000}) {
    EXPECT_EQ(table.dot_rounds(rounds), rounds * dots) << rounds;
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, DotPeakTest, testing::ValuesIn(TablesOfThisCpu()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace nearfar
