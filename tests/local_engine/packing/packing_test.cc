// Packed weights against their file blocks: nothing is lost, and every bit is where tiles.h says.

#include "local_engine/packing/packing.h"

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "local_engine/base/half.h"
#include "local_engine/quant/blocks.h"
#include "local_engine/quant/formats.h"

namespace nearfar {
namespace {

std::vector<const QuantFormat*> QuantizedFormats() {
  std::vector<const QuantFormat*> formats;
  for (const QuantFormat& format : AllFormats()) {
    if (format.block_elements > 1) formats.push_back(&format);
  }
  return formats;
}

std::vector<uint8_t> RandomBytes(size_t n) {
  std::mt19937 random(20261125);
  std::vector<uint8_t> bytes(n);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

class PackingTest : public testing::TestWithParam<const QuantFormat*> {};

TEST_P(PackingTest, UnpackedRowsAreTheFilesBytes) {
  const QuantFormat& format = *GetParam();
  const PackedFormat* packed = FindPackedFormat(format.dtype);
  ASSERT_NE(packed, nullptr);
  for (const int64_t blocks : {1, 2, 3, 6}) {
    const int64_t cols = blocks * format.block_elements, row_bytes = format.RowBytes(cols);
    for (const int rows : {1, 5, 16}) {
      const std::vector<uint8_t> bytes = RandomBytes(rows * row_bytes);
      std::vector<uint8_t> strip(packed->StripBytes(cols), 0xa5);
      packed->pack(bytes.data(), row_bytes, rows, cols, strip.data());
      for (int row = 0; row < rows; ++row) {
        std::vector<uint8_t> unpacked(row_bytes, 0x5a);
        packed->unpack(strip.data(), row, cols, unpacked.data());
        ASSERT_EQ(std::memcmp(unpacked.data(), bytes.data() + row * row_bytes, row_bytes), 0)
            << rows << " rows of " << cols << ", row " << row;
      }
    }
  }
}

TEST_P(PackingTest, RowsAndBlocksThatDoNotExistAreZero) {
  const QuantFormat& format = *GetParam();
  const PackedFormat* packed = FindPackedFormat(format.dtype);
  const int64_t cols = 3 * format.block_elements;
  const std::vector<uint8_t> bytes = RandomBytes(2 * format.RowBytes(cols));
  std::vector<uint8_t> strip(packed->StripBytes(cols), 0xff);
  packed->pack(bytes.data(), format.RowBytes(cols), 2, cols, strip.data());
  for (int row = 2; row < kStripRows; ++row) {
    std::vector<uint8_t> unpacked(format.RowBytes(cols));
    packed->unpack(strip.data(), row, cols, unpacked.data());
    std::vector<float> decoded(cols, 1.0f);
    format.decode(unpacked.data(), decoded.data(), cols);
    for (const float weight : decoded) ASSERT_EQ(weight, 0.0f) << "row " << row;
  }
}

TEST_P(PackingTest, SizesAreWholeCacheLines) {
  const PackedFormat* packed = FindPackedFormat(GetParam()->dtype);
  EXPECT_EQ(packed->tile_bytes % 64, 0);
  EXPECT_EQ(packed->StripBytes(packed->tile_columns + 1), 2 * packed->tile_bytes);
  EXPECT_EQ(packed->MatrixBytes(17, packed->tile_columns), 2 * packed->tile_bytes);
}

INSTANTIATE_TEST_SUITE_P(EveryFormat, PackingTest, testing::ValuesIn(QuantizedFormats()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(PackingTest, FloatsStayAsTheyAre) {
  EXPECT_EQ(FindPackedFormat(DType::kF32), nullptr);
  EXPECT_EQ(FindPackedFormat(DType::kF16), nullptr);
  EXPECT_EQ(FindPackedFormat(DType::kBF16), nullptr);
}

// ---- Where the bits are: one weight of one row of one block at a time.

constexpr int kRow = 11;

template <typename Tile, typename Block>
Tile PackOne(DType dtype, const Block& block, bool second) {
  Block blocks[2] = {};
  blocks[second ? 1 : 0] = block;
  const int64_t elements = FindFormat(dtype)->block_elements;
  const int64_t cols = second ? 2 * elements : elements;
  std::vector<Block> rows(kStripRows * (second ? 2 : 1));
  std::memcpy(&rows[kRow * (second ? 2 : 1)], blocks, (second ? 2 : 1) * sizeof(Block));
  Tile tile;
  FindPackedFormat(dtype)->pack(reinterpret_cast<const uint8_t*>(rows.data()),
                                (second ? 2 : 1) * static_cast<int64_t>(sizeof(Block)), kStripRows,
                                cols, reinterpret_cast<uint8_t*>(&tile));
  return tile;
}

TEST(TilesTest, NibblesAndFifthBitsOfAPair) {
  for (int column = 0; column < 32; ++column) {
    BlockQ5_0 block = {};
    block.quants[column % 16] = column < 16 ? 0x09 : 0x90;
    block.high_bits[column / 8] = static_cast<uint8_t>(1 << column % 8);
    for (const bool second : {false, true}) {
      const TileQ5_0 tile = PackOne<TileQ5_0>(DType::kQ5_0, block, second);
      EXPECT_EQ(tile.pairs[0].quants.pieces[column / 4][4 * kRow + column % 4],
                second ? 0x90 : 0x09);
      EXPECT_EQ(tile.pairs[0].fifth[second].bytes[4 * kRow + column % 4],
                static_cast<uint8_t>(~(1 << column / 4)));
    }
  }
}

TEST(TilesTest, SixBitsOfASuperBlock) {
  for (int column = 0; column < 256; ++column) {
    const int half = column / 128, group = column / 32 % 4, j = column % 32;
    BlockQ6_K block = {};
    block.low_bits[64 * half + 32 * (group & 1) + j] = group >= 2 ? 0xd0 : 0x0d;
    block.high_bits[32 * half + j] = static_cast<uint8_t>(2 << 2 * group);
    const TileQ6_K tile = PackOne<TileQ6_K>(DType::kQ6_K, block, false);
    const int pair = column / 64, second = column / 32 % 2;
    EXPECT_EQ(tile.pairs[pair].quants.pieces[j / 4][4 * kRow + j % 4], second != 0 ? 0xd0 : 0x0d);
    EXPECT_EQ(tile.pairs[pair].upper[second].halves[j / 16][4 * kRow + j % 4],
              2 << 2 * (j / 4 % 4));
  }
}

TEST(TilesTest, ScalesOfASuperBlock) {
  BlockQ4_K block = {};
  block.d.Set(0.5f);
  block.dmin.Set(0.25f);
  PackScale({.scale = 43, .offset = 61}, 6, block.scales);
  const TileQ4_K tile = PackOne<TileQ4_K>(DType::kQ4_K, block, false);
  EXPECT_EQ(HalfToFloat(tile.d[kRow]), 0.5f);
  EXPECT_EQ(HalfToFloat(tile.minus_dmin[kRow]), -0.25f);
  EXPECT_EQ(tile.scales[6][kRow], 43);
  EXPECT_EQ(tile.offsets[6][kRow], 61);
}

}  // namespace
}  // namespace nearfar
