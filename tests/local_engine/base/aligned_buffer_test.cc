// local_engine/base/aligned_buffer.h: alignment, zeros and ownership, for the heap's and the mapped
// kind alike.

#include "local_engine/base/aligned_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace nearfar {
namespace {

class AlignedBufferTest : public ::testing::TestWithParam<size_t> {};

TEST_P(AlignedBufferTest, IsAlignedAndWritableToTheLastByte) {
  AlignedBuffer buffer(GetParam());
  ASSERT_NE(buffer.data(), nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % AlignedBuffer::kAlignment, 0u);
  EXPECT_EQ(buffer.size(), GetParam());
  std::memset(buffer.data(), 0xa5, buffer.size());
  EXPECT_EQ(buffer.data()[buffer.size() - 1], 0xa5);
}

TEST_P(AlignedBufferTest, IsZeroWhereAsked) {
  {
    AlignedBuffer dirty(GetParam());  // so that the heap has something to give back
    std::memset(dirty.data(), 0xff, dirty.size());
  }
  const AlignedBuffer buffer(GetParam(), AlignedBuffer::Fill::kZero);
  EXPECT_TRUE(std::all_of(buffer.data(), buffer.data() + buffer.size(),
                          [](uint8_t byte) { return byte == 0; }));
}

TEST_P(AlignedBufferTest, MovesItsMemory) {
  AlignedBuffer from(GetParam());
  uint8_t* const data = from.data();
  AlignedBuffer to(std::move(from));
  EXPECT_EQ(to.data(), data);
  EXPECT_EQ(from.data(), nullptr);
  EXPECT_TRUE(from.empty());
  AlignedBuffer other(64);
  other = std::move(to);
  EXPECT_EQ(other.data(), data);
  EXPECT_EQ(other.size(), GetParam());
  EXPECT_TRUE(to.empty());
}

INSTANTIATE_TEST_SUITE_P(Sizes, AlignedBufferTest,
                         ::testing::Values(1, 63, 64, 65, 100000, AlignedBuffer::kHugePageBytes - 1,
                                           AlignedBuffer::kHugePageBytes,
                                           AlignedBuffer::kHugePageBytes + 1));

TEST(AlignedBufferEmptyTest, HoldsNothing) {
  const AlignedBuffer buffer(0);
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_TRUE(buffer.empty());
}

TEST(AlignedBufferCreateTest, RefusesWhatCannotBeHad) {
  const size_t most = static_cast<size_t>(std::numeric_limits<ptrdiff_t>::max());
  for (const size_t bytes : {std::numeric_limits<size_t>::max(), most}) {
    const absl::StatusOr<AlignedBuffer> buffer = AlignedBuffer::Create(bytes);
    ASSERT_FALSE(buffer.ok());
    EXPECT_EQ(buffer.status().code(), absl::StatusCode::kResourceExhausted);
  }
  const absl::StatusOr<AlignedBuffer> small = AlignedBuffer::Create(10, AlignedBuffer::Fill::kZero);
  ASSERT_TRUE(small.ok());
  EXPECT_EQ(small->as<uint8_t>()[9], 0);
}

}  // namespace
}  // namespace nearfar
