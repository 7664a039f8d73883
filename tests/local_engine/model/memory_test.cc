#include "local_engine/model/memory.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/model/kv_cache.h"

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
  KvCache cache(config.layers, config.kv_width(), 300);
  ASSERT_TRUE(cache.Reserve(300).ok());
  EXPECT_EQ(KvCacheBytes(config, 300), static_cast<double>(cache.bytes()));
}

TEST(Memory, ActivationsGrowWithWhatIsAskedFor) {
  const ModelConfig config = SmallConfig();
  const double least = ActivationBytes(config, 280, {.context = 10, .sessions = 1, .rows = 20});
  EXPECT_GE(least, 4.0 * (20 * (4 * 64 + 2 * 32 + 2 * 128) + 280 + 10 * 16));
  EXPECT_GT(ActivationBytes(config, 280, {.context = 11, .sessions = 1, .rows = 20}), least);
  EXPECT_GT(ActivationBytes(config, 280, {.context = 10, .sessions = 99, .rows = 20}), least);
  EXPECT_GT(ActivationBytes(config, 280, {.context = 10, .sessions = 1, .rows = 21}), least);
  EXPECT_GT(ActivationBytes(config, 281, {.context = 10, .sessions = 1, .rows = 20}), least);
}

TEST(Memory, TheLimitIsHeldAndTheRefusalSaysWhatToLower) {
  const ModelConfig config = SmallConfig();
  const MemoryNeed need = {.context = 1 << 16, .sessions = 4, .rows = 20};
  const double needed = ActivationBytes(config, 280, need) + 5 * KvCacheBytes(config, 1 << 16);
  const int64_t bytes = static_cast<int64_t>(needed);
  EXPECT_TRUE(CheckMemory(config, 280, need, bytes).ok());
  const absl::Status refused = CheckMemory(config, 280, need, bytes - 1);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("4 sessions of 65536 tokens may come to hold"));
  EXPECT_THAT(refused.message(), HasSubstr("lower context_tokens or max_sessions"));
}

// The largest config that ReadModelConfig lets pass: refused on any machine, and nothing wraps.
TEST(Memory, NoMachineHasRoomForWhatALyingFileMayAskFor) {
  ModelConfig config = SmallConfig();
  config.layers = 1024;
  config.heads = config.kv_heads = config.head_width = 1024;
  const MemoryNeed need = {.context = 1 << 26, .sessions = 4096, .rows = 8192};
  EXPECT_EQ(CheckMemory(config, 280, need, 0).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CheckMemory(config, 280, need, std::numeric_limits<int64_t>::max()).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(Memory, AnOrdinaryModelPassesByItself) {
  EXPECT_TRUE(
      CheckMemory(SmallConfig(), 280, {.context = 512, .sessions = 4, .rows = 132}, 0).ok());
}

}  // namespace
}  // namespace nearfar
