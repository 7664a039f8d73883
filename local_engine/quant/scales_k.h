// What Q4_K and Q5_K share: fitting a super-block's eight scales and offsets and packing them.
// Internal to local_engine/quant/. Held by tests/local_engine/quant/formats_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_QUANT_SCALES_K_H_
#define NEARFAR_LOCAL_ENGINE_QUANT_SCALES_K_H_

#include <cstdint>

#include "local_engine/quant/blocks.h"

namespace nearfar {

// Chooses d, dmin and the packed scales for 256 weights on a grid of 0..levels, and the integer of
// each weight (natural order) on the grid that results after all rounding.
void EncodeAffineSuperBlock(const float* x, int levels, Half* d, Half* dmin, uint8_t scales[12],
                            uint8_t quants[kSuperBlock]);

// Nibbles: byte 32 * p + j holds weight j of sub-blocks 2p (low) and 2p + 1 (high).
void PackSuperNibbles(const uint8_t quants[kSuperBlock], uint8_t packed[128]);
void UnpackSuperNibbles(const uint8_t packed[128], uint8_t quants[kSuperBlock]);

// x = (d * scale) * q - (dmin * offset) for each sub-block.
void DecodeAffineSuperBlock(float d, float dmin, const uint8_t scales[12],
                            const uint8_t quants[kSuperBlock], float* x);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_QUANT_SCALES_K_H_
