// NEON with SDOT and SMMLA (Armv8.2 with int8 matrix products: Cortex-A510, A710, X2, Neoverse N2
// and V1, Apple M2 and later).

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_NEON_I8MM_SIMD_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_NEON_I8MM_SIMD_H_

#include "local_engine/kernels/neon_dotprod/simd.h"

namespace nearfar::kernels {
namespace {

// ---- two rows by two tokens: common/pair_panel-inl.h says what the names mean -------------------

NEARFAR_INLINE Bytes ZipLow(Bytes a, Bytes b) {
  return {vreinterpretq_u8_u32(vzip1q_u32(vreinterpretq_u32_u8(a.v), vreinterpretq_u32_u8(b.v)))};
}
NEARFAR_INLINE Bytes ZipHigh(Bytes a, Bytes b) {
  return {vreinterpretq_u8_u32(vzip2q_u32(vreinterpretq_u32_u8(a.v), vreinterpretq_u32_u8(b.v)))};
}
NEARFAR_INLINE F32 ZipLow(F32 a, F32 b) { return {vzip1q_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 ZipHigh(F32 a, F32 b) { return {vzip2q_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 Evens(F32 a, F32 b) { return {vuzp1q_f32(a.v, b.v)}; }
NEARFAR_INLINE F32 Odds(F32 a, F32 b) { return {vuzp2q_f32(a.v, b.v)}; }
template <int kBias>
NEARFAR_INLINE Bytes Minus(Bytes a) {
  if constexpr (kBias == 0) return a;
  return {vsubq_u8(a.v, vdupq_n_u8(static_cast<uint8_t>(kBias)))};
}
NEARFAR_INLINE I32 MultiplyPairs(I32 sums, Bytes rows, Bytes tokens) {
  return {vmmlaq_s32(sums.v, vreinterpretq_s8_u8(rows.v), vreinterpretq_s8_u8(tokens.v))};
}

NEARFAR_INLINE const uint8_t* LoadQuartet(const uint8_t* from, Bytes (&to)[4]) {
  LoadPiece(from, to);  // four vectors, too
  return from;
}
NEARFAR_INLINE const uint8_t* LoadQuartet(const uint8_t* from, F32 (&to)[4]) {
  Bytes bytes[4];
  LoadPiece(from, bytes);
  for (int i = 0; i < 4; ++i) to[i].v = vreinterpretq_f32_u8(bytes[i].v);
  return from;
}
NEARFAR_INLINE Bytes LoadPairValue(const int8_t* from) {
  return LoadBytes(reinterpret_cast<const uint8_t*>(from));
}
template <typename Vector>
NEARFAR_INLINE const uint8_t* LoadPairQuartet(const uint8_t* from, Vector (&to)[4]) {
  return LoadQuartet(from, to);
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_NEON_I8MM_SIMD_H_
