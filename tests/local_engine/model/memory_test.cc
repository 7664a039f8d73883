#include "local_engine/model/memory.h"

#include <limits>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/base/thread_pool.h"
#include "local_engine/base/usable_memory.h"
#include "local_engine/kernels/dispatch.h"
#include "local_engine/kernels/tables.h"
#include "local_engine/model/kv_cache.h"
#include "local_engine/model/model.h"
#include "local_engine/model/transformer.h"
#include "tests/testing/tiny_model.h"

namespace nearfar {
namespace {

using ::testing::HasSubstr;

ModelConfig SmallConfig() {
  ModelConfig config;
  config.layers = 3;
  config.width = 64;
  config.ffn_width = 128;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_width = 16;
  config.rope_width = 16;
  return config;
}

TEST(Memory, AFullCacheHoldsWhatWasToldBefore) {
  const ModelConfig config = SmallConfig();
  for (const DType type : {DType::kF16, DType::kQ8_0}) {
    KvCache cache(config, type, 300);
    ASSERT_TRUE(cache.Reserve(300).ok());
    EXPECT_EQ(KvCacheBytes(config, type, 300), static_cast<double>(cache.bytes()));
  }
}

MemoryNeed Need(int context, int sessions, int rows, int threads = 1) {
  return {.context = context,
          .sessions = sessions,
          .rows = rows,
          .threads = threads,
          .kernels = &kScalarKernels};
}

TEST(Memory, ActivationsGrowWithWhatIsAskedFor) {
  const ModelConfig config = SmallConfig();
  const double least = ActivationBytes(config, 280, Need(10, 1, 20));
  EXPECT_GT(ActivationBytes(config, 280, Need(11, 1, 20)), least);
  EXPECT_GT(ActivationBytes(config, 280, Need(10, 99, 20)), least);
  EXPECT_GT(ActivationBytes(config, 280, Need(10, 1, 21)), least);
  EXPECT_GT(ActivationBytes(config, 280, Need(10, 1, 20, 2)), least);
  EXPECT_GT(ActivationBytes(config, 281, Need(10, 1, 20)), least);
}

// Of many threads what they work in is the most.
TEST(Memory, ATransformerHoldsNoMoreThanWasToldBefore) {
  for (const DType weights : {DType::kF32, DType::kQ8_0, DType::kQ4_K}) {
    const auto model =
        LoadModel(testing::WriteTinyModel({.weights = weights}, "memory.gguf")).value();
    for (const char* kernels : {"", "scalar"}) {
      for (const int threads : {1, 7}) {
        MemoryNeed need = Need(300, 20, 40, threads);
        need.kernels = SelectKernels(kernels).value();
        const auto pool = ThreadPool::Create(threads).value();
        const auto transformer =
            Transformer::Create(model->config, model->weights, *need.kernels, need.kv_type,
                                pool.get(), need.context, need.rows, need.sessions)
                .value();
        const double held = static_cast<double>(transformer->bytes());
        const double told = ActivationBytes(model->config, model->weights.vocabulary(), need);
        EXPECT_GE(told, held) << threads;
        EXPECT_LT(told, 1.5 * held) << threads;
      }
    }
  }
}

TEST(Memory, TheLimitIsHeldAndTheRefusalSaysWhatToLower) {
  const ModelConfig config = SmallConfig();
  const MemoryNeed need = Need(1 << 16, 4, 20);
  const double needed =
      ActivationBytes(config, 280, need) + 4 * KvCacheBytes(config, DType::kF16, 1 << 16);
  const int64_t bytes = static_cast<int64_t>(needed);
  EXPECT_EQ(FitContext(config, 280, need, need.context, bytes).value(), need.context);
  const absl::Status refused = FitContext(config, 280, need, need.context, bytes - 1).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("4 sessions of 65536 tokens may come to hold"));
  EXPECT_THAT(refused.message(), HasSubstr("lower EngineOptions::context_tokens or "
                                           "EngineOptions::max_sessions"));
  const MemoryNeed one = Need(1 << 16, 1, 20);
  const absl::Status alone = FitContext(config, 280, one, one.context, 1 << 20).status();
  EXPECT_THAT(alone.message(), HasSubstr("1 session of 65536 tokens"));
  EXPECT_THAT(alone.message(), ::testing::Not(HasSubstr("max_sessions")));
}

TEST(Memory, TheLongestContextThatFitsIsFound) {
  const ModelConfig config = SmallConfig();
  const auto needed = [&](int context) {
    return static_cast<int64_t>(ActivationBytes(config, 280, Need(context, 2, 20)) +
                                2 * KvCacheBytes(config, DType::kF16, context));
  };
  const MemoryNeed need = Need(4096, 2, 20);
  for (const int context : {512, 513, 3000, 3008, 4095}) {
    EXPECT_EQ(FitContext(config, 280, need, 512, needed(context)).value(), context);
    EXPECT_EQ(FitContext(config, 280, need, 512, needed(context + 1) - 1).value(), context);
  }
  const absl::Status refused = FitContext(config, 280, need, 512, needed(512) - 1).status();
  EXPECT_THAT(refused.message(), HasSubstr("2 sessions of 512 tokens"));
}

// The largest config that ReadModelConfig lets pass: refused on any machine, and nothing wraps.
TEST(Memory, NoMachineHasRoomForWhatALyingFileMayAskFor) {
  ModelConfig config = SmallConfig();
  config.layers = 1024;
  config.heads = config.kv_heads = config.head_width = 1024;
  const MemoryNeed need = Need(1 << 26, 4096, 8192, 512);
  for (const int64_t limit : {int64_t{0}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(FitContext(config, 280, need, 1 << 26, limit).status().code(),
              absl::StatusCode::kResourceExhausted);
  }
}

TEST(Memory, WeightsThatTheMachineCannotHoldAreRefused) {
  EXPECT_TRUE(CheckWeightsFit(1 << 20).ok());
  const absl::Status refused = CheckWeightsFit(int64_t{1} << 50);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("the weights take 1073741824 MiB"));
}

TEST(Memory, WhatTheWeightsTakeIsNotForSessions) {
  MemoryNeed need = Need(512, 4, 132);
  need.weights = UsableMemory();
  const absl::Status refused = FitContext(SmallConfig(), 280, need, 512, 0).status();
  EXPECT_THAT(refused.message(), HasSubstr("what the weights leave of 80 %"));
  EXPECT_EQ(FitContext(SmallConfig(), 280, need, 512, 1 << 30).value(), 512);
}

TEST(Memory, AnOrdinaryModelPassesByItself) {
  EXPECT_EQ(FitContext(SmallConfig(), 280, Need(512, 4, 132), 512, 0).value(), 512);
}

}  // namespace
}  // namespace nearfar
