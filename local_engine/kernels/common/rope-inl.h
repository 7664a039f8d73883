// Rotary position embedding (Su et al. 2021, arXiv 2104.09864), in both orders of the pairs.
// Held by tests/local_engine/kernels/rows_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_ROPE_INL_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_ROPE_INL_H_

#include "local_engine/kernels/common/inline.h"
#include "local_engine/kernels/kernel_table.h"

namespace nearfar::kernels {
namespace {

// Pairs (2i, 2i + 1).
NEARFAR_INLINE void RotateNeighbours(const float* table, int64_t rope_width, float* x) {
  int64_t i = 0;
  for (; i + 2 * kLanes <= rope_width; i += 2 * kLanes) {
    F32 cosine, sine, a, b;
    LoadPairs(table + i, &cosine, &sine);
    LoadPairs(x + i, &a, &b);
    StorePairs(x + i, Sub(Mul(a, cosine), Mul(b, sine)), Add(Mul(a, sine), Mul(b, cosine)));
  }
  for (; i < rope_width; i += 2) {
    const float a = x[i], b = x[i + 1];
    x[i] = a * table[i] - b * table[i + 1];
    x[i + 1] = a * table[i + 1] + b * table[i];
  }
}

// Pairs (i, i + rope_width / 2).
NEARFAR_INLINE void RotateHalves(const float* table, int64_t rope_width, float* x) {
  const int64_t half = rope_width / 2;
  int64_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    F32 cosine, sine;
    LoadPairs(table + 2 * i, &cosine, &sine);
    const F32 a = Load(x + i), b = Load(x + half + i);
    Store(x + i, Sub(Mul(a, cosine), Mul(b, sine)));
    Store(x + half + i, Add(Mul(a, sine), Mul(b, cosine)));
  }
  for (; i < half; ++i) {
    const float a = x[i], b = x[half + i];
    x[i] = a * table[2 * i] - b * table[2 * i + 1];
    x[half + i] = a * table[2 * i + 1] + b * table[2 * i];
  }
}

void RopeToken(const RopeArgs& args) {
  for (int64_t head = 0; head < args.heads; ++head) {
    float* x = args.x + head * args.head_width;
    if (args.interleaved) {
      RotateNeighbours(args.table, args.rope_width, x);
    } else {
      RotateHalves(args.table, args.rope_width, x);
    }
  }
}

}  // namespace
}  // namespace nearfar::kernels

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_COMMON_ROPE_INL_H_
