// NEON with SDOT (Armv8.2 dot product: Cortex-A55, A76, Neoverse N1 and later).

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_NEON_DOTPROD_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_NEON_DOTPROD_SIMD_H_

#define NEARFAR_KERNELS_OWN_DOT
#include "local_engine/kernels/neon/simd.h"

namespace nearfar::kernels {
namespace {

// Unsigned weights below 64 are the same bytes signed, so one instruction serves every format.
template <int kBits>
class Dot {
 public:
  NEARFAR_INLINE void Add16(const Bytes w[4], const int8_t* a) {
    const int8x16_t x = vld1q_s8(a);
    sum_ = vdotq_laneq_s32(sum_, vreinterpretq_s8_u8(w[0].v), x, 0);
    sum_ = vdotq_laneq_s32(sum_, vreinterpretq_s8_u8(w[1].v), x, 1);
    sum_ = vdotq_laneq_s32(sum_, vreinterpretq_s8_u8(w[2].v), x, 2);
    sum_ = vdotq_laneq_s32(sum_, vreinterpretq_s8_u8(w[3].v), x, 3);
  }
  NEARFAR_INLINE F32 Sum() const { return {vcvtq_f32_s32(sum_)}; }

 private:
  int32x4_t sum_ = vdupq_n_s32(0);
};

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_NEON_DOTPROD_SIMD_H_
