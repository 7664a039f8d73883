// The tensor types of GGUF files that this engine reads, with the numbers that the format gives
// them (ggml's type ids, as the GGUF specification lists them).

#ifndef NEARFAR_LOCAL_ENGINE_QUANT_DTYPE_H_
#define NEARFAR_LOCAL_ENGINE_QUANT_DTYPE_H_

#include <cstdint>

namespace nearfar {

enum class DType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_QUANT_DTYPE_H_
