// Packing of the 32-weight formats: nibbles j and j + 16 in one byte, fifth bits in four bytes.
// Internal to local_engine/quant/. Held by tests/local_engine/quant/formats_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_QUANT_NIBBLES_H_
#define NEARFAR_LOCAL_ENGINE_QUANT_NIBBLES_H_

#include <cstdint>

namespace nearfar {

// q: 32 values, of which the low four bits are kept.
inline void PackNibbles(const uint8_t q[32], uint8_t packed[16]) {
  for (int j = 0; j < 16; ++j)
    packed[j] = static_cast<uint8_t>((q[j] & 15) | (q[j + 16] & 15) << 4);
}

inline void UnpackNibbles(const uint8_t packed[16], uint8_t q[32]) {
  for (int j = 0; j < 16; ++j) {
    q[j] = packed[j] & 15;
    q[j + 16] = packed[j] >> 4;
  }
}

inline void PackFifthBits(const uint8_t q[32], uint8_t bits[4]) {
  for (int k = 0; k < 4; ++k) {
    bits[k] = 0;
    for (int i = 0; i < 8; ++i) bits[k] |= static_cast<uint8_t>(((q[8 * k + i] >> 4) & 1) << i);
  }
}

inline void AddFifthBits(const uint8_t bits[4], uint8_t q[32]) {
  for (int i = 0; i < 32; ++i) q[i] |= static_cast<uint8_t>(((bits[i / 8] >> (i % 8)) & 1) << 4);
}

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_QUANT_NIBBLES_H_
