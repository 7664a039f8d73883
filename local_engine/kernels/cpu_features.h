// Which instructions this CPU has and its operating system lets us use.
// Held by tests/local_engine/kernels/dispatch_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_KERNELS_CPU_FEATURES_H_
#define NEARFAR_LOCAL_ENGINE_KERNELS_CPU_FEATURES_H_

#include <string>

namespace nearfar {

struct CpuFeatures {
  // x86; those of vector registers are true only where the operating system saves them (XGETBV).
  bool avx = false;
  bool avx2 = false;
  bool fma = false;
  bool f16c = false;
  bool avx_vnni = false;
  bool avx512f = false;
  bool avx512bw = false;
  bool avx512dq = false;
  bool avx512vl = false;
  bool avx512_vnni = false;
  // 64-bit Arm.
  bool neon = false;
  bool dotprod = false;
  bool i8mm = false;
  bool sve = false;
  bool sve256 = false;  // its vectors are 256 bits long, as the operating system gives them to us
  bool sve_i8mm = false;
  bool sve2 = false;
};

// Asked of the CPU once. Thread-safe.
const CpuFeatures& ThisCpu();

// The names of the features that are there, separated by spaces ("avx avx2 fma").
std::string Describe(const CpuFeatures& cpu);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_KERNELS_CPU_FEATURES_H_
