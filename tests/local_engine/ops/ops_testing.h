// What the tests of ops share: a context for each table and number of threads.

#ifndef NEARFAR_TESTS_LOCAL_ENGINE_OPS_OPS_TESTING_H_
#define NEARFAR_TESTS_LOCAL_ENGINE_OPS_OPS_TESTING_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "local_engine/base/thread_pool.h"
#include "local_engine/ops/ops.h"
#include "local_engine/ops/workspace.h"
#include "tests/local_engine/kernels/kernel_testing.h"

namespace nearfar {

class OpsTest : public testing::TestWithParam<std::tuple<const KernelTable*, int>> {
 protected:
  OpContext context() { return {&table(), pool_.get(), &workspace_}; }
  const KernelTable& table() const { return *std::get<0>(GetParam()); }

  // Room for what the tests make up, and in both forms.
  static Activations NewActivations() { return Activations::Create({}, 64, 1024).value(); }

  std::mt19937 random_{5};

 private:
  const std::unique_ptr<ThreadPool> pool_ = ThreadPool::Create(std::get<1>(GetParam())).value();
  Workspace workspace_ =
      Workspace::Create(table(), pool_->size(),
                        {.width = 1024,
                         .items = 256,
                         .attention = {.heads = 9, .kv_heads = 1, .head_width = 64, .scale = 0}})
          .value();
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
