// Makes a QuantFormat out of two functions on one block, so that a format's file holds nothing
// else. Internal to local_engine/quant/. Held by tests/local_engine/quant/formats_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_QUANT_BLOCK_FORMAT_H_
#define NEARFAR_LOCAL_ENGINE_QUANT_BLOCK_FORMAT_H_

#include <cassert>
#include <cmath>
#include <cstdint>

#include "local_engine/quant/formats.h"

namespace nearfar {

// The block functions of one format. Block has alignment 1.
template <typename Block, int kElements, void (*kEncode)(const float*, Block*),
          void (*kDecode)(const Block&, float*)>
struct BlockFormat {
  static_assert(alignof(Block) == 1);

  static void Encode(const float* from, uint8_t* to, int64_t n) {
    assert(n % kElements == 0);
    Block* blocks = reinterpret_cast<Block*>(to);
    for (int64_t b = 0; b < n / kElements; ++b) kEncode(from + b * kElements, &blocks[b]);
  }

  static void Decode(const uint8_t* from, float* to, int64_t n) {
    assert(n % kElements == 0);
    const Block* blocks = reinterpret_cast<const Block*>(from);
    for (int64_t b = 0; b < n / kElements; ++b) kDecode(blocks[b], to + b * kElements);
  }

  static double Dot(const uint8_t* weights, const float* x, int64_t n) {
    assert(n % kElements == 0);
    const Block* blocks = reinterpret_cast<const Block*>(weights);
    double sum = 0;
    float decoded[kElements];
    for (int64_t b = 0; b < n / kElements; ++b) {
      kDecode(blocks[b], decoded);
      for (int i = 0; i < kElements; ++i) {
        sum += static_cast<double>(decoded[i]) * static_cast<double>(x[b * kElements + i]);
      }
    }
    return sum;
  }

  static constexpr QuantFormat Make(DType dtype, const char* name) {
    return {.dtype = dtype,
            .name = name,
            .block_elements = kElements,
            .block_bytes = sizeof(Block),
            .encode = &Encode,
            .decode = &Decode,
            .dot = &Dot};
  }
};

// The integer nearest to `value` in [low, high]; ties to even.
inline int RoundInto(float value, int low, int high) {
  if (!(value > static_cast<float>(low))) return low;  // a NaN too
  if (value > static_cast<float>(high)) return high;
  return static_cast<int>(std::nearbyint(value));
}

// The element of largest magnitude, with its sign; 0 of none.
inline float SignedPeak(const float* x, int n) {
  float peak = 0;
  for (int i = 0; i < n; ++i) {
    if (std::fabs(x[i]) > std::fabs(peak)) peak = x[i];
  }
  return peak;
}

inline float InverseOrZero(float value) { return value != 0 ? 1 / value : 0; }

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_QUANT_BLOCK_FORMAT_H_
