// The blocks of GGUF's quantized formats, byte for byte as they stand in a file.
//
// Every field is bytes (a half is a little-endian uint8_t[2]), so a block has alignment 1 and may
// be read where it is mapped. d is always the block's scale and m (or dmin) its offset, as F16.
// Sources: the GGUF specification and the block structures of ggml.
// Held by tests/local_engine/quant/formats_test.cc and its golden blocks.

#ifndef NEARFAR_LOCAL_ENGINE_QUANT_BLOCKS_H_
#define NEARFAR_LOCAL_ENGINE_QUANT_BLOCKS_H_

#include <cstdint>

#include "local_engine/base/half.h"

namespace nearfar {

// An F16 in a block.
struct Half {
  uint8_t bytes[2];

  float Get() const { return HalfToFloat(static_cast<uint16_t>(bytes[0] | bytes[1] << 8)); }
  void Set(float value) {
    const uint16_t half = FloatToHalf(value);
    bytes[0] = static_cast<uint8_t>(half);
    bytes[1] = static_cast<uint8_t>(half >> 8);
  }
};

inline constexpr int kSmallBlock = 32;   // weights of a Q4_0 .. Q8_0 block
inline constexpr int kSuperBlock = 256;  // weights of a K block

// In all nibble formats of 32, byte j holds weight j (low) and weight j + 16 (high).

struct BlockQ4_0 {  // w = d * (q - 8)
  Half d;
  uint8_t quants[16];
};

struct BlockQ4_1 {  // w = d * q + m
  Half d;
  Half m;
  uint8_t quants[16];
};

struct BlockQ5_0 {  // w = d * (q - 16); bit j of high_bits is the fifth bit of weight j
  Half d;
  uint8_t high_bits[4];
  uint8_t quants[16];
};

struct BlockQ5_1 {  // w = d * q + m
  Half d;
  Half m;
  uint8_t high_bits[4];
  uint8_t quants[16];
};

struct BlockQ8_0 {  // w = d * q
  Half d;
  int8_t quants[32];
};

// Eight sub-blocks of 32; sub-block s has a 6-bit scale and a 6-bit offset, packed in 12 bytes:
//   bytes 0..3   scale s (low 6 bits) and the top 2 bits of scale s + 4
//   bytes 4..7   offset s (low 6 bits) and the top 2 bits of offset s + 4
//   bytes 8..11  the low 4 bits of scale s + 4 and of offset s + 4
// w = (d * scale) * q - (dmin * offset). Byte 32 * p + j of quants holds weight j of sub-block 2p
// (low) and of sub-block 2p + 1 (high).
struct BlockQ4_K {
  Half d;
  Half dmin;
  uint8_t scales[12];
  uint8_t quants[128];
};

// As Q4_K; bit s of high_bits[j] is the fifth bit of weight j of sub-block s.
struct BlockQ5_K {
  Half d;
  Half dmin;
  uint8_t scales[12];
  uint8_t high_bits[32];
  uint8_t quants[128];
};

// Sixteen sub-blocks of 16 with an 8-bit scale each: w = (d * scale) * (q - 32).
// Within each half of 128 weights, weight 32 * g + j (g = 0..3, j = 0..31) has its low nibble in
// low_bits[64 * half + 32 * (g & 1) + j] (high nibble of the byte for g >= 2), and its top two bits
// at bit 2g of high_bits[32 * half + j].
struct BlockQ6_K {
  uint8_t low_bits[128];
  uint8_t high_bits[64];
  int8_t scales[16];
  Half d;
};

static_assert(sizeof(BlockQ4_0) == 18 && alignof(BlockQ4_0) == 1);
static_assert(sizeof(BlockQ4_1) == 20 && alignof(BlockQ4_1) == 1);
static_assert(sizeof(BlockQ5_0) == 22 && alignof(BlockQ5_0) == 1);
static_assert(sizeof(BlockQ5_1) == 24 && alignof(BlockQ5_1) == 1);
static_assert(sizeof(BlockQ8_0) == 34 && alignof(BlockQ8_0) == 1);
static_assert(sizeof(BlockQ4_K) == 144 && alignof(BlockQ4_K) == 1);
static_assert(sizeof(BlockQ5_K) == 176 && alignof(BlockQ5_K) == 1);
static_assert(sizeof(BlockQ6_K) == 210 && alignof(BlockQ6_K) == 1);

// Scale and offset of one sub-block of Q4_K and Q5_K, 0..63 each.
struct ScaleAndOffset {
  uint8_t scale;
  uint8_t offset;
};

inline ScaleAndOffset UnpackScale(const uint8_t packed[12], int sub_block) {
  if (sub_block < 4) {
    return {static_cast<uint8_t>(packed[sub_block] & 63),
            static_cast<uint8_t>(packed[sub_block + 4] & 63)};
  }
  const int s = sub_block - 4;
  return {static_cast<uint8_t>((packed[s + 8] & 15) | (packed[s] >> 6) << 4),
          static_cast<uint8_t>((packed[s + 8] >> 4) | (packed[s + 4] >> 6) << 4)};
}

// Puts them into 12 bytes that are zero there.
inline void PackScale(ScaleAndOffset from, int sub_block, uint8_t packed[12]) {
  const int scale = from.scale, offset = from.offset;
  if (sub_block < 4) {
    packed[sub_block] |= static_cast<uint8_t>(scale);
    packed[sub_block + 4] |= static_cast<uint8_t>(offset);
    return;
  }
  const int s = sub_block - 4;
  packed[s] |= static_cast<uint8_t>(scale >> 4 << 6);
  packed[s + 4] |= static_cast<uint8_t>(offset >> 4 << 6);
  packed[s + 8] |= static_cast<uint8_t>((scale & 15) | (offset & 15) << 4);
}

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_QUANT_BLOCKS_H_
