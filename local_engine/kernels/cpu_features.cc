#include "local_engine/kernels/cpu_features.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#include <sys/prctl.h>
#endif

namespace nearfar {
namespace {

#if defined(__x86_64__)

bool Bit(uint32_t word, int bit) { return (word >> bit & 1) != 0; }

// XCR0: which register states the operating system saves. By hand, because the compiler's intrinsic
// would ask for -mxsave.
uint64_t SavedStates() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

// Leaves and bits as in Intel's Software Developer's Manual, volume 2, CPUID.
CpuFeatures Ask() {
  CpuFeatures cpu;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return cpu;
  const bool os_saves = Bit(c, 27);
  const uint64_t saved = os_saves ? SavedStates() : 0;
  const bool ymm = (saved & 0x6) == 0x6;    // XMM and the upper halves of YMM
  const bool zmm = (saved & 0xe6) == 0xe6;  // and masks, upper halves of ZMM, ZMM16 to 31
  cpu.avx = ymm && Bit(c, 28);
  cpu.fma = cpu.avx && Bit(c, 12);
  cpu.f16c = cpu.avx && Bit(c, 29);
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return cpu;
  cpu.avx2 = cpu.avx && Bit(b, 5);
  cpu.avx512f = zmm && Bit(b, 16);
  cpu.avx512dq = cpu.avx512f && Bit(b, 17);
  cpu.avx512bw = cpu.avx512f && Bit(b, 30);
  cpu.avx512vl = cpu.avx512f && Bit(b, 31);
  cpu.avx512_vnni = cpu.avx512f && Bit(c, 11);
  const uint32_t subleaves = a;
  if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
    cpu.avx_vnni = cpu.avx2 && Bit(a, 4);
  }
  return cpu;
}

#elif defined(__aarch64__) && defined(__linux__)

// Bytes of an SVE vector, for a CPU that has them.
int SveBytes() {
  constexpr int kGetVectorLength = 51, kLengthMask = 0xffff;  // PR_SVE_GET_VL, PR_SVE_VL_LEN_MASK
  const int answer = prctl(kGetVectorLength);
  return answer < 0 ? 0 : answer & kLengthMask;
}

// Bits of AT_HWCAP and AT_HWCAP2 as in Linux, arch/arm64/include/uapi/asm/hwcap.h.
CpuFeatures Ask() {
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  CpuFeatures cpu;
  cpu.neon = (first >> 1 & 1) != 0;
  cpu.dotprod = (first >> 20 & 1) != 0;
  cpu.sve = (first >> 22 & 1) != 0;
  cpu.sve256 = cpu.sve && SveBytes() == 256 / 8;
  cpu.sve2 = (second >> 1 & 1) != 0;
  cpu.sve_i8mm = (second >> 9 & 1) != 0;
  cpu.i8mm = (second >> 13 & 1) != 0;
  return cpu;
}

#else

CpuFeatures Ask() { return {}; }

#endif

}  // namespace

const CpuFeatures& ThisCpu() {
  static const CpuFeatures cpu = Ask();
  return cpu;
}

std::string Describe(const CpuFeatures& cpu) {
  const struct {
    bool there;
    const char* name;
  } features[] = {
      {cpu.avx, "avx"},           {cpu.avx2, "avx2"},
      {cpu.fma, "fma"},           {cpu.f16c, "f16c"},
      {cpu.avx_vnni, "avx_vnni"}, {cpu.avx512f, "avx512f"},
      {cpu.avx512bw, "avx512bw"}, {cpu.avx512dq, "avx512dq"},
      {cpu.avx512vl, "avx512vl"}, {cpu.avx512_vnni, "avx512_vnni"},
      {cpu.neon, "neon"},         {cpu.dotprod, "dotprod"},
      {cpu.i8mm, "i8mm"},         {cpu.sve, "sve"},
      {cpu.sve256, "sve256"},     {cpu.sve_i8mm, "sve_i8mm"},
      {cpu.sve2, "sve2"},
  };
  std::string names;
  for (const auto& feature : features) {
    if (!feature.there) continue;
    if (!names.empty()) names += ' ';
    names += feature.name;
  }
  return names;
}

}  // namespace nearfar
