#include "local_engine/model/kv_cache.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar {
namespace {

constexpr int kLayers = 2;
constexpr int kWidth = 8;
constexpr int kContext = 1000;

TEST(KvCache, HoldsNoMemoryUntilItIsUsed) {
  const KvCache cache(kLayers, kWidth, kContext);
  EXPECT_EQ(cache.bytes(), 0);
  EXPECT_EQ(cache.capacity(), 0);
  EXPECT_EQ(cache.length(), 0);
}

TEST(KvCache, GrowsInStepsUpToTheContext) {
  KvCache cache(kLayers, kWidth, kContext);
  ASSERT_TRUE(cache.Reserve(1).ok());
  EXPECT_EQ(cache.capacity(), KvCache::kFirstPositions);
  const int64_t first_bytes = cache.bytes();
  EXPECT_GE(first_bytes, int64_t{2} * kLayers * KvCache::kFirstPositions * kWidth * 2);
  ASSERT_TRUE(cache.Reserve(KvCache::kFirstPositions).ok());
  EXPECT_EQ(cache.bytes(), first_bytes);
  ASSERT_TRUE(cache.Reserve(KvCache::kFirstPositions + 1).ok());
  EXPECT_EQ(cache.capacity(), 2 * KvCache::kFirstPositions);
  ASSERT_TRUE(cache.Reserve(kContext).ok());
  EXPECT_EQ(cache.capacity(), kContext);
  EXPECT_EQ(cache.Reserve(kContext + 1).code(), absl::StatusCode::kResourceExhausted);
}

TEST(KvCache, AShortContextIsAllThatIsAllocated) {
  KvCache cache(kLayers, kWidth, 10);
  ASSERT_TRUE(cache.Reserve(1).ok());
  EXPECT_EQ(cache.capacity(), 10);
}

TEST(KvCache, ContentSurvivesGrowth) {
  KvCache cache(kLayers, kWidth, kContext);
  ASSERT_TRUE(cache.Reserve(3).ok());
  for (int layer = 0; layer < kLayers; ++layer) {
    for (int i = 0; i < kKeyGroup * kWidth; ++i) {
      cache.keys(layer)[i] = static_cast<uint16_t>(1000 * layer + i);
      cache.values(layer)[i] = static_cast<uint16_t>(5000 + 1000 * layer + i);
    }
  }
  cache.Advance(3);
  ASSERT_TRUE(cache.Reserve(kContext).ok());
  for (int layer = 0; layer < kLayers; ++layer) {
    for (int i = 0; i < kKeyGroup * kWidth; ++i) {
      EXPECT_EQ(cache.keys(layer)[i], 1000 * layer + i);
      EXPECT_EQ(cache.values(layer)[i], 5000 + 1000 * layer + i);
    }
  }
}

TEST(KvCache, TruncateKeepsMemoryReleaseDoesNot) {
  KvCache cache(kLayers, kWidth, kContext);
  ASSERT_TRUE(cache.Reserve(5).ok());
  cache.Advance(5);
  const int64_t bytes = cache.bytes();
  cache.Truncate(2);
  EXPECT_EQ(cache.length(), 2);
  EXPECT_EQ(cache.bytes(), bytes);
  cache.Release();
  EXPECT_EQ(cache.length(), 0);
  EXPECT_EQ(cache.bytes(), 0);
  EXPECT_TRUE(cache.Reserve(5).ok());
}

}  // namespace
}  // namespace nearfar
