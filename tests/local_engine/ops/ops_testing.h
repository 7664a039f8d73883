// What the tests of ops share: a context for each table and number of threads.

#ifndef NEARFAR_TESTS_LOCAL_ENGINE_OPS_OPS_TESTING_H_
#define NEARFAR_TESTS_LOCAL_ENGINE_OPS_OPS_TESTING_H_

#include <cstdint>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "local_engine/base/thread_pool.h"
#include "local_engine/ops/ops.h"
#include "tests/local_engine/kernels/kernel_testing.h"

namespace nearfar {

class OpsTest : public testing::TestWithParam<std::tuple<const KernelTable*, int>> {
 protected:
  OpContext context() { return {std::get<0>(GetParam()), &pool_}; }
  const KernelTable& table() const { return *std::get<0>(GetParam()); }

  std::mt19937 random_{5};

 private:
  ThreadPool pool_{std::get<1>(GetParam())};
};

inline auto EveryTableAndThreads() {
  return testing::Combine(testing::ValuesIn(TablesOfThisCpu()), testing::Values(1, 3));
}

inline std::string NameOf(const testing::TestParamInfo<std::tuple<const KernelTable*, int>>& info) {
  return std::string(std::get<0>(info.param)->name) + "_" +
         std::to_string(std::get<1>(info.param)) + "_threads";
}

}  // namespace nearfar

#endif  // NEARFAR_TESTS_LOCAL_ENGINE_OPS_OPS_TESTING_H_
