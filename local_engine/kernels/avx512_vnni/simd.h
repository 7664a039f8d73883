// AVX2 with a Dot that multiplies and adds four bytes in one instruction.
// VPDPBUSD in its AVX-512 encoding, on 256-bit registers: Cascade Lake and Zen 4 and later. The
// second sixteen registers leave room for the sums of eight tokens.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_AVX512_VNNI_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_AVX512_VNNI_SIMD_H_

#define NEARFAR_KERNELS_OWN_DOT
#include "local_engine/kernels/avx2/simd.h"

namespace nearfar::kernels {
namespace {

constexpr int kTokenTile = 8;

NEARFAR_INLINE __m256i AddProducts(__m256i sum, __m256i w, __m256i a) {
  return _mm256_dpbusd_epi32(sum, w, a);
}

}  // namespace
}  // namespace nearfar::kernels

#include "local_engine/kernels/common/dot_vnni-inl.h"

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_AVX512_VNNI_SIMD_H_
