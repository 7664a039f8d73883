// How the kernels want quantized weights in memory: tiles of 16 rows, packed once at load.
//
// A strip is 16 rows of a matrix; it is the row of its tiles, one after the other, so a product
// reads memory from front to back. The unit within a tile is the piece: four columns of 16 rows, 64
// bytes, row r at 4r. Every instruction set's dot product of four bytes takes a piece as it is, in
// one register (AVX-512), two (AVX2) or four (NEON), with lane r belonging to row r; so one layout
// serves all of them. The bits of a weight are only rearranged, never changed: packing.h goes back.
//
// Rows and blocks that fill the last tile up have scales of zero. Numbers are little-endian. This
// header is included by files that are compiled for different instruction sets, so it holds data
// alone. Held by tests/local_engine/packing/.

#ifndef NEARFAR_LOCAL_ENGINE_PACKING_TILES_H_
#define NEARFAR_LOCAL_ENGINE_PACKING_TILES_H_

#include <stdint.h>

namespace nearfar {

constexpr int kStripRows = 16;
constexpr int kBlockColumns = 32;  // of a block: columns that share a scale and a dot product
constexpr int kPieceBytes = 4 * kStripRows;
constexpr int kBlockPieces = kBlockColumns / 4;

// Eight pieces of two neighbouring blocks: piece i holds columns 4i .. 4i + 3 of the first block in
// the low, of the second in the high four bits of its bytes.
struct NibblePair {
  uint8_t pieces[kBlockPieces][kPieceBytes];
};
// The fifth bits of a block, inverted: bit i of byte 4r + b belongs to column 4i + b of row r.
struct FifthBits {
  uint8_t bytes[kPieceBytes];
};
// The fifth and sixth bits of a block: bits 2i and 2i + 1 of byte 4r + b of half h belong to column
// 16h + 4i + b of row r.
struct UpperBits {
  uint8_t halves[2][kPieceBytes];
};

// What belongs to one pair of blocks, of each width, in the order in which it is read.
struct PairOfFour {
  NibblePair quants;
};
struct PairOfFive {
  FifthBits fifth[2];
  NibblePair quants;
};
struct PairOfSix {
  UpperBits upper[2];
  NibblePair quants;
};
struct PairOfEight {
  uint8_t pieces[2][kBlockPieces][kPieceBytes];  // of signed bytes
};

// ---- 64 columns: two of the file's blocks. d (and m) are F16, by block and row.

struct TileQ4_0 {
  PairOfFour pairs[1];
  uint16_t d[2][kStripRows];
};
struct TileQ4_1 {
  PairOfFour pairs[1];
  uint16_t d[2][kStripRows];
  uint16_t m[2][kStripRows];
};
struct TileQ5_0 {
  PairOfFive pairs[1];
  uint16_t d[2][kStripRows];
};
struct TileQ5_1 {
  PairOfFive pairs[1];
  uint16_t d[2][kStripRows];
  uint16_t m[2][kStripRows];
};
struct TileQ8_0 {
  PairOfEight pairs[1];
  uint16_t d[2][kStripRows];
};

// ---- 256 columns: one of the file's super-blocks. What belongs to a pair of blocks stands
// together: memory is read from front to back, which is what hardware prefetchers follow.

struct TileQ4_K {
  uint16_t d[kStripRows];
  uint16_t minus_dmin[kStripRows];
  uint8_t scales[8][kStripRows];
  uint8_t offsets[8][kStripRows];
  PairOfFour pairs[4];
};
struct TileQ5_K {
  uint16_t d[kStripRows];
  uint16_t minus_dmin[kStripRows];
  uint8_t scales[8][kStripRows];
  uint8_t offsets[8][kStripRows];
  PairOfFive pairs[4];
};
struct TileQ6_K {
  uint16_t d[kStripRows];
  uint16_t unused[kStripRows];    // whole cache lines
  int8_t scales[16][kStripRows];  // of 16 columns each
  PairOfSix pairs[4];
};

static_assert(sizeof(TileQ4_0) == 32 * 18 && sizeof(TileQ4_1) == 32 * 20);
static_assert(sizeof(TileQ5_0) == 32 * 22 && sizeof(TileQ5_1) == 32 * 24);
static_assert(sizeof(TileQ8_0) == 32 * 34);
static_assert(sizeof(TileQ4_K) == 16 * 148 && sizeof(TileQ5_K) == 16 * 180);
static_assert(sizeof(TileQ6_K) == 16 * 212);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_PACKING_TILES_H_
