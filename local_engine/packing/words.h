// Four columns of a block at a time, as one 32-bit word: byte b is column 4i + b. Internal to
// local_engine/packing/.

#ifndef NEARFAR_LOCAL_ENGINE_PACKING_WORDS_H_
#define NEARFAR_LOCAL_ENGINE_PACKING_WORDS_H_

#include <cstdint>
#include <cstring>

namespace nearfar {

inline uint32_t LoadWord(const void* from) {
  uint32_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}
inline void StoreWord(void* to, uint32_t word) { std::memcpy(to, &word, sizeof(word)); }

// Replaces the bits under `mask`.
inline void SetBits(void* at, uint32_t mask, uint32_t bits) {
  StoreWord(at, (LoadWord(at) & ~mask) | (bits & mask));
}

inline constexpr uint32_t kLowNibbles = 0x0f0f0f0f;
inline constexpr uint32_t kLowBits = 0x01010101;
inline constexpr uint32_t kLowPairs = 0x03030303;

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_PACKING_WORDS_H_
