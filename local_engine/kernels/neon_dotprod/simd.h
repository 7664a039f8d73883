// NEON with SDOT (Armv8.2 dot product: Cortex-A55, A76, Neoverse N1 and later).

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_NEON_DOTPROD_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_NEON_DOTPROD_SIMD_H_

#define NEARFAR_KERNELS_OWN_DOT
#include "local_engine/kernels/neon/simd.h"

namespace nearfar::kernels {
namespace {

constexpr int kDotChains = 16;

// Unsigned weights below 64 are the same bytes signed, so one instruction serves every format.
template <int kBits>
class Dot {
 public:
  // A sum is one register, so there is room for four groups, or for two beside the planes of five
  // and six bits.
  static constexpr int kTogether = kBits == 5 || kBits == 6 ? 2 : 4;

  NEARFAR_INLINE void Begin(I32 start) { sum_ = start.v; }
  template <int kPiece>
  NEARFAR_INLINE void Add(Bytes w, const int8_t* a) {
    sum_ =
        vdotq_laneq_s32(sum_, vreinterpretq_s8_u8(w.v), vld1q_s8(a + kPiece / 4 * 16), kPiece % 4);
  }
  NEARFAR_INLINE I32 Sum() const { return {sum_}; }

 private:
  int32x4_t sum_;
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_NEON_DOTPROD_SIMD_H_
