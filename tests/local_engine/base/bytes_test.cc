// local_engine/base/bytes.h: nothing wraps unseen, and nothing is read past the end.

#include "local_engine/base/bytes.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace nearfar {
namespace {

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

TEST(BytesTest, MultiplicationSaysWhenItWraps) {
  uint64_t result = 7;
  EXPECT_TRUE(CheckedMul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1, &result));
  EXPECT_EQ(result, kMax - ((uint64_t{1} << 32) - 1));
  result = 7;
  EXPECT_FALSE(CheckedMul(uint64_t{1} << 32, uint64_t{1} << 32, &result));
  EXPECT_EQ(result, 7u) << "a failed product leaves the result alone";
  EXPECT_TRUE(CheckedMul(0, kMax, &result));
  EXPECT_EQ(result, 0u);
}

TEST(BytesTest, LoadsUnalignedLittleEndian) {
  const uint8_t bytes[] = {0xff, 0x01, 0x02, 0x03, 0x04};
  EXPECT_EQ(LoadLittleEndian<uint32_t>(bytes + 1), 0x04030201u);
  EXPECT_EQ(LoadLittleEndian<uint16_t>(bytes + 3), 0x0403u);
}

TEST(ByteReaderTest, ReadsInOrderAndStopsAtTheEnd) {
  const std::vector<uint8_t> bytes = {1, 0, 0, 0, 'h', 'i', 9};
  ByteReader reader(bytes);
  uint32_t number = 0;
  ASSERT_TRUE(reader.Read(&number));
  EXPECT_EQ(number, 1u);
  std::string_view text;
  ASSERT_TRUE(reader.ReadText(2, &text));
  EXPECT_EQ(text, "hi");
  EXPECT_EQ(reader.position(), 6u);
  EXPECT_FALSE(reader.Read(&number));
  EXPECT_FALSE(reader.ReadText(2, &text));
  EXPECT_FALSE(reader.Skip(kMax));
  EXPECT_EQ(reader.position(), 6u) << "a failed read moves nothing";
  EXPECT_EQ(text, "hi") << "and changes nothing";
  EXPECT_TRUE(reader.Skip(1));
  EXPECT_EQ(reader.remaining(), 0u);
  EXPECT_TRUE(reader.ReadText(0, &text));
  EXPECT_TRUE(text.empty());
}

}  // namespace
}  // namespace nearfar
