// The product of F32, F16 or BF16 weights and f32 activations. Lanes run along the columns: two
// sums a row and token, added across lanes at the end. Held by
// tests/local_engine/kernels/matmul_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MATMUL_FLOATS_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MATMUL_FLOATS_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/common/unroll-inl.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar::kernels {
namespace {

struct FromF32 {
  using Element = float;
  static NEARFAR_INLINE F32 Read(const float* from) { return Load(from); }
};
struct FromF16 {
  using Element = uint16_t;
  static NEARFAR_INLINE F32 Read(const uint16_t* from) { return LoadHalf(from); }
};
struct FromBF16 {
  using Element = uint16_t;
  static NEARFAR_INLINE F32 Read(const uint16_t* from) { return LoadBFloat16(from); }
};

// The last n < kLanes elements, then zeros.
template <typename Format>
NEARFAR_INLINE F32 ReadPartial(const typename Format::Element* from, int64_t n) {
  typename Format::Element lanes[kLanes] = {};
  memcpy(lanes, from, static_cast<size_t>(n) * sizeof(*from));
  return Format::Read(lanes);
}

// A row of the file need not be aligned to its elements' size for this to be right on the machines
// that we run on; vector loads take any address.
template <typename Format, int kTokens>
NEARFAR_INLINE void MultiplyFloatRow(const MatMulArgs& args, int64_t row, int64_t token) {
  using Element = typename Format::Element;
  const Element* weights =
      reinterpret_cast<const Element*>(args.weights + row * args.weight_stride);
  const float* x = args.x.floats + token * args.x.width;
  F32 even[kTokens], odd[kTokens];
  for (int t = 0; t < kTokens; ++t) even[t] = odd[t] = Set(0.0f);
  int64_t col = 0;
  for (; col + 2 * kLanes <= args.cols; col += 2 * kLanes) {
    const F32 first = Format::Read(weights + col);
    const F32 second = Format::Read(weights + col + kLanes);
    for (int t = 0; t < kTokens; ++t) {
      const float* at = x + t * args.x.width + col;
      even[t] = Fma(first, Load(at), even[t]);
      odd[t] = Fma(second, Load(at + kLanes), odd[t]);
    }
  }
  for (; col < args.cols; col += kLanes) {
    const int64_t n = args.cols - col < kLanes ? args.cols - col : kLanes;
    const F32 rest = ReadPartial<Format>(weights + col, n);
    for (int t = 0; t < kTokens; ++t) {
      even[t] = Fma(rest, ReadPartial<FromF32>(x + t * args.x.width + col, n), even[t]);
    }
  }
  const float bias = args.bias == nullptr ? 0.0f : args.bias[row];
  for (int t = 0; t < kTokens; ++t) {
    args.out[(token + t) * args.out_stride + row] = SumLanes(Add(even[t], odd[t])) + bias;
  }
}

template <typename Format>
void MatMulFloats(const MatMulArgs& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    int64_t token = 0;
    for (; token + 4 <= args.x.tokens; token += 4) MultiplyFloatRow<Format, 4>(args, row, token);
    if (token == args.x.tokens) continue;
    WithCount<3>(static_cast<int>(args.x.tokens - token), [&](auto count) {
      MultiplyFloatRow<Format, decltype(count)::value>(args, row, token);
    });
  }
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_MATMUL_FLOATS_INL_H_
