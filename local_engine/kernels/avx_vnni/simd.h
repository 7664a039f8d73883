// AVX2 with a Dot that multiplies and adds four bytes in one instruction.
// VPDPBUSD in its AVX encoding: Alder Lake and Zen 5 and later.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_AVX_VNNI_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_AVX_VNNI_SIMD_H_

#define NEARFAR_KERNELS_OWN_DOT
#include "local_engine/kernels/avx2/simd.h"

namespace nearfar::kernels {
namespace {

constexpr int kTokenTile = 4;

// VPDPBUSD takes unsigned weights: signed ones are shifted up by 128, and the tile's offset takes
// that back. It widens to 32 bits at once, so nothing saturates.
constexpr int kSignedOffset = 128;
NEARFAR_INLINE Bytes FromSigned(Bytes a) { return {_mm256_xor_si256(a.v, SetBytes(128).v)}; }

template <int kBits>
class Dot {
 public:
  NEARFAR_INLINE void Add16(const Bytes w[4], const int8_t* a) {
    for (int i = 0; i < 4; ++i) {
      sum_ = _mm256_dpbusd_avx_epi32(sum_, w[i].v, BroadcastWord(a + 4 * i));
    }
  }
  NEARFAR_INLINE F32 Sum() const { return {_mm256_cvtepi32_ps(sum_)}; }

 private:
  __m256i sum_ = _mm256_setzero_si256();
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_AVX_VNNI_SIMD_H_
