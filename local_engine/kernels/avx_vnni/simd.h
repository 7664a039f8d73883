// AVX2 with a Dot that multiplies and adds four bytes in one instruction.
// VPDPBUSD in its AVX encoding: Alder Lake and Zen 5 and later.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_AVX_VNNI_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_AVX_VNNI_SIMD_H_

#define NEARFAR_KERNELS_OWN_DOT
#include "local_engine/kernels/avx2/simd.h"

namespace nearfar::kernels {
namespace {

constexpr int kTokenTile = 4;
constexpr int kMostDots = 8;
constexpr int kLeastPrefetch = 1;
template <int kScales>
constexpr int64_t kMostDirectTokens = 16;
constexpr int kDotChains = 12;

// VPDPBUSD takes unsigned weights, and widens to 32 bits at once, so nothing saturates: the high
// nibbles may stay where they are, and signed weights are shifted up.
constexpr int kRawHighBits = 4;
NEARFAR_INLINE Bytes RawHighNibbles(Bytes a) { return {_mm256_and_si256(a.v, AllBytes(0xf0))}; }
constexpr int kEightBias = 128;
NEARFAR_INLINE Bytes FromSigned(Bytes a) { return {_mm256_xor_si256(a.v, AllBytes(128))}; }

template <int kBits>
class Dot {
 public:
  NEARFAR_INLINE void Begin(I32 start) { sum_ = start.v; }
  template <int kPiece>
  NEARFAR_INLINE void Add(Bytes w, const int8_t* a) {
    sum_ = _mm256_dpbusd_avx_epi32(sum_, w.v, BroadcastWord(a + 4 * kPiece));
  }
  NEARFAR_INLINE I32 Sum() const { return {sum_}; }

 private:
  __m256i sum_;
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_AVX_VNNI_SIMD_H_
