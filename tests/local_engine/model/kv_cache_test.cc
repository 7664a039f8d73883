#include "local_engine/model/kv_cache.h"

#include <cstring>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace nearfar {
namespace {

constexpr int kContext = 1000;

ModelConfig SmallConfig() {
  ModelConfig config;
  config.layers = 2;
  config.kv_heads = 3;
  config.head_width = 4;
  return config;
}

KvCache MakeCache(int context = kContext) { return KvCache(SmallConfig(), DType::kF16, context); }

int64_t BytesOf(int parts) { return int64_t{parts} * 2 * 3 * KvPartBytes(DType::kF16, 4); }

TEST(KvCache, HoldsNoMemoryUntilItIsUsed) {
  const KvCache cache = MakeCache();
  EXPECT_EQ(cache.bytes(), 0);
  EXPECT_EQ(cache.capacity(), 0);
  EXPECT_EQ(cache.length(), 0);
}

TEST(KvCache, GrowsInStepsUpToTheContext) {
  KvCache cache = MakeCache();
  ASSERT_TRUE(cache.Reserve(1).ok());
  EXPECT_EQ(cache.capacity(), kAttentionPart);
  EXPECT_EQ(cache.bytes(), BytesOf(1));
  ASSERT_TRUE(cache.Reserve(kAttentionPart).ok());
  EXPECT_EQ(cache.bytes(), BytesOf(1));
  ASSERT_TRUE(cache.Reserve(kAttentionPart + 1).ok());
  EXPECT_EQ(cache.capacity(), 2 * kAttentionPart);
  ASSERT_TRUE(cache.Reserve(2 * kAttentionPart + 1).ok());
  EXPECT_EQ(cache.capacity(), kContext);
  EXPECT_EQ(cache.bytes(), BytesOf(4));
  EXPECT_EQ(cache.Reserve(kContext + 1).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(cache.capacity(), kContext);
}

TEST(KvCache, HoldsWholeParts) {
  KvCache cache = MakeCache(10);
  ASSERT_TRUE(cache.Reserve(1).ok());
  EXPECT_EQ(cache.capacity(), 10);
  EXPECT_EQ(cache.bytes(), BytesOf(1));
  KvCache longer = MakeCache();
  ASSERT_TRUE(longer.Reserve(2 * kAttentionPart + 1).ok());
  EXPECT_EQ(longer.capacity(), 3 * kAttentionPart);
  EXPECT_EQ(longer.bytes(), BytesOf(3));
}

TEST(KvCache, HoldsLessInBytes) {
  ModelConfig config = SmallConfig();
  config.head_width = 64;
  KvCache halves(config, DType::kF16, kContext), bytes(config, DType::kQ8_0, kContext);
  ASSERT_TRUE(halves.Reserve(1).ok());
  ASSERT_TRUE(bytes.Reserve(1).ok());
  EXPECT_EQ(bytes.bytes() * 32, halves.bytes() * 17);  // 34 bytes for 32 numbers
}

// Where a layer's heads are in a part.
uint8_t* Place(const KvCache& cache, int layer, int part) {
  const KvView view = cache.layer(layer);
  return view.parts[part] + view.offset;
}

// Every byte may be written; a sanitizer watches.
TEST(KvCache, EachPartOfEachLayerHasAPlaceThatStays) {
  KvCache cache = MakeCache();
  const size_t bytes = 3 * KvPartBytes(DType::kF16, 4);
  std::vector<uint8_t*> places;
  for (int part = 0; part < 4; ++part) {
    ASSERT_TRUE(cache.Reserve(part * kAttentionPart + 1).ok());
    cache.Advance(part == 3 ? 1 : kAttentionPart);
    for (int layer = 0; layer < 2; ++layer) {
      places.push_back(Place(cache, layer, part));
      std::memset(places.back(), 2 * part + layer, bytes);
    }
  }
  for (int part = 0; part < 4; ++part) {
    for (int layer = 0; layer < 2; ++layer) {
      const uint8_t* place = Place(cache, layer, part);
      EXPECT_EQ(place, places[2 * part + layer]);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(place) % AlignedBuffer::kAlignment, 0u);
      EXPECT_EQ(place[0], 2 * part + layer);
      EXPECT_EQ(place[bytes - 1], 2 * part + layer);
    }
  }
}

TEST(KvCache, TruncateKeepsMemoryReleaseDoesNot) {
  KvCache cache = MakeCache();
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
