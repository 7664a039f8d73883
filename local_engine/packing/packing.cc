#include "local_engine/packing/packing.h"

#include <cassert>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "local_engine/packing/words.h"
#include "local_engine/quant/blocks.h"

namespace nearfar {
namespace {

// ---- Where the file keeps the low four bits, and the bits above them, of four columns.

struct Place {
  int byte;
  int shift;
};

// Q4_0 .. Q5_1: columns 0..15 in the low, 16..31 in the high bits of 16 bytes.
Place SmallNibbles(int, int word) { return {4 * (word % 4), word < 4 ? 0 : 4}; }
// Q4_K, Q5_K: two neighbouring blocks in the low and high bits of 32 bytes.
Place AffineNibbles(int block, int word) { return {32 * (block / 2) + 4 * word, 4 * (block % 2)}; }
// Q6_K: of each half, blocks 0 and 2, and 1 and 3, share 32 bytes.
Place SixNibbles(int block, int word) {
  return {64 * (block / 4) + 32 * (block % 2) + 4 * word, block % 4 < 2 ? 0 : 4};
}

// ---- The pieces of one row in a pair of blocks.

using NibblePlace = Place (*)(int block, int word);

// `low_bits` is the file block's array; `block` counts within it, `second` within the pair.
template <NibblePlace kPlace>
void PackNibbles(const uint8_t* low_bits, int block, bool second, int row, NibblePair* to) {
  for (int word = 0; word < kBlockPieces; ++word) {
    const Place place = kPlace(block, word);
    const uint32_t bits = LoadWord(low_bits + place.byte) >> place.shift & kLowNibbles;
    SetBits(to->pieces[word] + 4 * row, kLowNibbles << (second ? 4 : 0), bits << (second ? 4 : 0));
  }
}
template <NibblePlace kPlace>
void UnpackNibbles(const NibblePair& from, int block, bool second, int row, uint8_t* low_bits) {
  for (int word = 0; word < kBlockPieces; ++word) {
    const Place place = kPlace(block, word);
    const uint32_t bits = LoadWord(from.pieces[word] + 4 * row) >> (second ? 4 : 0) & kLowNibbles;
    SetBits(low_bits + place.byte, kLowNibbles << place.shift, bits << place.shift);
  }
}

// Q5_0 and Q5_1 keep the fifth bits of 32 columns in one word, column c at bit c.
void PackFifthOfWord(const uint8_t* high_bits, int row, FifthBits* to) {
  const uint32_t columns = LoadWord(high_bits);
  uint32_t plane = 0;
  for (int word = 0; word < kBlockPieces; ++word) {
    // The product puts the four bits into one byte each.
    plane |= ((columns >> (4 * word) & 15) * 0x00204081u & kLowBits) << word;
  }
  StoreWord(to->bytes + 4 * row, ~plane);
}
void UnpackFifthOfWord(const FifthBits& from, int row, uint8_t* high_bits) {
  const uint32_t plane = ~LoadWord(from.bytes + 4 * row);
  uint32_t columns = 0;
  for (int word = 0; word < kBlockPieces; ++word) {
    // The product gathers the lowest bits of four bytes into the highest.
    columns |= ((plane >> word & kLowBits) * 0x01020408u >> 24 & 15) << (4 * word);
  }
  StoreWord(high_bits, columns);
}

// Q5_K keeps them in 32 bytes, one for each column; block b at bit b.
void PackFifthOfBytes(const uint8_t high_bits[32], int block, int row, FifthBits* to) {
  uint32_t plane = 0;
  for (int word = 0; word < kBlockPieces; ++word) {
    plane |= (LoadWord(high_bits + 4 * word) >> block & kLowBits) << word;
  }
  StoreWord(to->bytes + 4 * row, ~plane);
}
void UnpackFifthOfBytes(const FifthBits& from, int block, int row, uint8_t high_bits[32]) {
  const uint32_t plane = ~LoadWord(from.bytes + 4 * row);
  for (int word = 0; word < kBlockPieces; ++word) {
    SetBits(high_bits + 4 * word, kLowBits << block, (plane >> word & kLowBits) << block);
  }
}

// Q6_K: of each half of the super-block, block g has bits 2g and 2g + 1 of 32 bytes.
void PackUpper(const uint8_t high_bits[64], int block, int row, UpperBits* to) {
  for (int half = 0; half < 2; ++half) {
    uint32_t plane = 0;
    for (int i = 0; i < 4; ++i) {
      const uint8_t* from = high_bits + 32 * (block / 4) + 16 * half + 4 * i;
      plane |= (LoadWord(from) >> (2 * (block % 4)) & kLowPairs) << (2 * i);
    }
    StoreWord(to->halves[half] + 4 * row, plane);
  }
}
void UnpackUpper(const UpperBits& from, int block, int row, uint8_t high_bits[64]) {
  const int shift = 2 * (block % 4);
  for (int half = 0; half < 2; ++half) {
    const uint32_t plane = LoadWord(from.halves[half] + 4 * row);
    for (int i = 0; i < 4; ++i) {
      uint8_t* to = high_bits + 32 * (block / 4) + 16 * half + 4 * i;
      SetBits(to, kLowPairs << shift, (plane >> (2 * i) & kLowPairs) << shift);
    }
  }
}

void PackHalf(const Half& from, uint16_t* to) { std::memcpy(to, from.bytes, sizeof(*to)); }
void UnpackHalf(uint16_t from, Half* to) { std::memcpy(to->bytes, &from, sizeof(from)); }

constexpr uint16_t kHalfSign = 0x8000;

// ---- One row's part of a tile, for each format. `block` counts the file's blocks within the tile.

template <typename TileT, typename BlockT>
struct SmallCodec {
  using Tile = TileT;
  using Block = BlockT;
  static constexpr int kBlocks = 2;  // of the file in a tile
  static constexpr int kColumns = 2 * kSmallBlock;

  static void Pack(const Block& from, int block, int row, Tile* to) {
    PackHalf(from.d, &to->d[block][row]);
    if constexpr (requires { from.m; }) PackHalf(from.m, &to->m[block][row]);
    if constexpr (requires { from.high_bits; }) {
      PackFifthOfWord(from.high_bits, row, &to->pairs[0].fifth[block]);
    }
    PackNibbles<SmallNibbles>(from.quants, 0, block == 1, row, &to->pairs[0].quants);
  }
  static void Unpack(const Tile& from, int block, int row, Block* to) {
    UnpackHalf(from.d[block][row], &to->d);
    if constexpr (requires { to->m; }) UnpackHalf(from.m[block][row], &to->m);
    if constexpr (requires { to->high_bits; }) {
      UnpackFifthOfWord(from.pairs[0].fifth[block], row, to->high_bits);
    }
    UnpackNibbles<SmallNibbles>(from.pairs[0].quants, 0, block == 1, row, to->quants);
  }
};

struct ByteCodec {
  using Tile = TileQ8_0;
  using Block = BlockQ8_0;
  static constexpr int kBlocks = 2;
  static constexpr int kColumns = 2 * kSmallBlock;

  static void Pack(const Block& from, int block, int row, Tile* to) {
    PackHalf(from.d, &to->d[block][row]);
    for (int word = 0; word < kBlockPieces; ++word) {
      std::memcpy(to->pairs[0].pieces[block][word] + 4 * row, from.quants + 4 * word, 4);
    }
  }
  static void Unpack(const Tile& from, int block, int row, Block* to) {
    UnpackHalf(from.d[block][row], &to->d);
    for (int word = 0; word < kBlockPieces; ++word) {
      std::memcpy(to->quants + 4 * word, from.pairs[0].pieces[block][word] + 4 * row, 4);
    }
  }
};

template <typename TileT, typename BlockT>
struct AffineCodec {
  using Tile = TileT;
  using Block = BlockT;
  static constexpr int kBlocks = 1;
  static constexpr int kColumns = kSuperBlock;

  static void Pack(const Block& from, int, int row, Tile* to) {
    PackHalf(from.d, &to->d[row]);
    PackHalf(from.dmin, &to->minus_dmin[row]);
    to->minus_dmin[row] ^= kHalfSign;
    for (int block = 0; block < 8; ++block) {
      const ScaleAndOffset unpacked = UnpackScale(from.scales, block);
      to->scales[block][row] = unpacked.scale;
      to->offsets[block][row] = unpacked.offset;
      auto* pair = &to->pairs[block / 2];
      if constexpr (requires { from.high_bits; }) {
        PackFifthOfBytes(from.high_bits, block, row, &pair->fifth[block % 2]);
      }
      PackNibbles<AffineNibbles>(from.quants, block, block % 2 == 1, row, &pair->quants);
    }
  }
  static void Unpack(const Tile& from, int, int row, Block* to) {
    UnpackHalf(from.d[row], &to->d);
    UnpackHalf(from.minus_dmin[row] ^ kHalfSign, &to->dmin);
    for (int block = 0; block < 8; ++block) {
      PackScale({from.scales[block][row], from.offsets[block][row]}, block, to->scales);
      const auto& pair = from.pairs[block / 2];
      if constexpr (requires { to->high_bits; }) {
        UnpackFifthOfBytes(pair.fifth[block % 2], block, row, to->high_bits);
      }
      UnpackNibbles<AffineNibbles>(pair.quants, block, block % 2 == 1, row, to->quants);
    }
  }
};

struct SixCodec {
  using Tile = TileQ6_K;
  using Block = BlockQ6_K;
  static constexpr int kBlocks = 1;
  static constexpr int kColumns = kSuperBlock;

  static void Pack(const Block& from, int, int row, Tile* to) {
    PackHalf(from.d, &to->d[row]);
    for (int i = 0; i < 16; ++i) to->scales[i][row] = from.scales[i];
    for (int block = 0; block < 8; ++block) {
      auto* pair = &to->pairs[block / 2];
      PackUpper(from.high_bits, block, row, &pair->upper[block % 2]);
      PackNibbles<SixNibbles>(from.low_bits, block, block % 2 == 1, row, &pair->quants);
    }
  }
  static void Unpack(const Tile& from, int, int row, Block* to) {
    UnpackHalf(from.d[row], &to->d);
    for (int i = 0; i < 16; ++i) to->scales[i] = from.scales[i][row];
    for (int block = 0; block < 8; ++block) {
      const auto& pair = from.pairs[block / 2];
      UnpackUpper(pair.upper[block % 2], block, row, to->high_bits);
      UnpackNibbles<SixNibbles>(pair.quants, block, block % 2 == 1, row, to->low_bits);
    }
  }
};

// ---- Strips.

template <typename Codec>
struct Strips {
  using Tile = typename Codec::Tile;
  using Block = typename Codec::Block;
  static_assert(std::is_trivially_copyable_v<Tile> && alignof(Block) == 1);
  static constexpr int kBlockElements = Codec::kColumns / Codec::kBlocks;

  static void Pack(const uint8_t* from, int64_t row_bytes, int rows, int64_t cols, uint8_t* strip) {
    assert(rows >= 1 && rows <= kStripRows && cols % kBlockElements == 0);
    Tile* tiles = reinterpret_cast<Tile*>(strip);
    const int64_t blocks = cols / kBlockElements;
    for (int64_t first = 0; first < blocks; first += Codec::kBlocks) {
      Tile* tile = &tiles[first / Codec::kBlocks];
      std::memset(tile, 0, sizeof(*tile));
      for (int row = 0; row < rows; ++row) {
        const Block* mine = reinterpret_cast<const Block*>(from + row * row_bytes) + first;
        for (int b = 0; b < Codec::kBlocks && first + b < blocks; ++b) {
          Codec::Pack(mine[b], b, row, tile);
        }
      }
    }
  }

  static void Unpack(const uint8_t* strip, int row, int64_t cols, uint8_t* to) {
    const Tile* tiles = reinterpret_cast<const Tile*>(strip);
    Block* blocks = reinterpret_cast<Block*>(to);
    std::memset(to, 0, static_cast<size_t>(cols / kBlockElements) * sizeof(Block));
    for (int64_t i = 0; i < cols / kBlockElements; ++i) {
      Codec::Unpack(tiles[i / Codec::kBlocks], static_cast<int>(i % Codec::kBlocks), row,
                    &blocks[i]);
    }
  }

  static constexpr PackedFormat Make(DType dtype) {
    return {.dtype = dtype,
            .tile_columns = Codec::kColumns,
            .tile_bytes = sizeof(Tile),
            .pack = &Pack,
            .unpack = &Unpack};
  }
};

constexpr PackedFormat kFormats[] = {
    Strips<SmallCodec<TileQ4_0, BlockQ4_0>>::Make(DType::kQ4_0),
    Strips<SmallCodec<TileQ4_1, BlockQ4_1>>::Make(DType::kQ4_1),
    Strips<SmallCodec<TileQ5_0, BlockQ5_0>>::Make(DType::kQ5_0),
    Strips<SmallCodec<TileQ5_1, BlockQ5_1>>::Make(DType::kQ5_1),
    Strips<ByteCodec>::Make(DType::kQ8_0),
    Strips<AffineCodec<TileQ4_K, BlockQ4_K>>::Make(DType::kQ4_K),
    Strips<AffineCodec<TileQ5_K, BlockQ5_K>>::Make(DType::kQ5_K),
    Strips<SixCodec>::Make(DType::kQ6_K),
};

}  // namespace

const PackedFormat* FindPackedFormat(DType dtype) {
  for (const PackedFormat& format : kFormats) {
    if (format.dtype == dtype) return &format;
  }
  return nullptr;
}

}  // namespace nearfar
