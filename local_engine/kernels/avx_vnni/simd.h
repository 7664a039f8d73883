// AVX2 with a Dot that multiplies and adds four bytes in one instruction.
// VPDPBUSD in its AVX encoding: Alder Lake and Zen 5 and later.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_AVX_VNNI_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_AVX_VNNI_SIMD_H_

#define NEARFAR_KERNELS_OWN_DOT
#include "local_engine/kernels/avx2/simd.h"

namespace nearfar::kernels {
namespace {

constexpr int kTokenTile = 4;

NEARFAR_INLINE __m256i AddProducts(__m256i sum, __m256i w, __m256i a) {
  return _mm256_dpbusd_avx_epi32(sum, w, a);
}

}  // namespace
}  // namespace nearfar::kernels

#include "local_engine/kernels/common/dot_vnni-inl.h"

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_AVX_VNNI_SIMD_H_
