// local_engine/base/aligned_buffer.h: alignment and ownership, for the heap's and the mapped
// kind alike.

#include "local_engine/base/aligned_buffer.h"

#include <gtest/gtest.h>

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
  const absl::StatusOr<AlignedBuffer> small = AlignedBuffer::Create(10);
  ASSERT_TRUE(small.ok());
  EXPECT_EQ(small->size(), 10u);
}

}  // namespace
}  // namespace nearfar
