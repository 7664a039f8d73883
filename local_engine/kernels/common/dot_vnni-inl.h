// The Dot of tables whose CPU multiplies and adds four bytes in one instruction, VPDPBUSD, under
// either of its encodings: included at the end of an <isa>/simd.h that defines
//   __m256i AddProducts(sum, w, a)   sum + the products of unsigned w and signed a, four a lane
// Held by tests/local_engine/kernels/matmul_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_DOT_VNNI_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_DOT_VNNI_INL_H_

#include "local_engine/kernels/avx2/simd.h"

namespace nearfar::kernels {
namespace {

// VPDPBUSD takes unsigned weights: signed ones are shifted up by 128, and the tile's offset takes
// that back. It widens to 32 bits at once, so nothing saturates.
constexpr int kSignedOffset = 128;
NEARFAR_INLINE Bytes FromSigned(Bytes a) { return {_mm256_xor_si256(a.v, SetBytes(128).v)}; }

template <int kBits>
class Dot {
 public:
  NEARFAR_INLINE void Add16(const Bytes w[4], const int8_t* a) {
    for (int i = 0; i < 4; ++i) sum_ = AddProducts(sum_, w[i].v, BroadcastWord(a + 4 * i));
  }
  NEARFAR_INLINE F32 Sum() const { return {_mm256_cvtepi32_ps(sum_)}; }

 private:
  __m256i sum_ = _mm256_setzero_si256();
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_DOT_VNNI_INL_H_
