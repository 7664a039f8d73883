// Of the kernel's documentation: admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst
// (cpu.cfs_*); ABI/testing/sysfs-devices-system-cpu (cpu_capacity).

#include "local_engine/base/usable_cpus.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "local_engine/base/control_group.h"

namespace nearfar {
namespace {

constexpr int kMostCpus = 1 << 20;  // beyond, the kernel's answer is not believed

struct FreeCpuSet {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};

struct CpuSet {
  std::unique_ptr<cpu_set_t, FreeCpuSet> set;
  size_t bytes;
};

CpuSet MakeCpuSet(int cpus) {
  CpuSet made = {std::unique_ptr<cpu_set_t, FreeCpuSet>(CPU_ALLOC(cpus)), CPU_ALLOC_SIZE(cpus)};
  if (made.set != nullptr) CPU_ZERO_S(made.bytes, made.set.get());
  return made;
}

// How fast a CPU is beside the others of its machine; empty if the system does not tell.
std::optional<int64_t> SpeedOf(int cpu, const std::string& root) {
  const std::string folder = absl::StrCat(root, "/sys/devices/system/cpu/cpu", cpu);
  for (const char* file : {"/cpu_capacity", "/cpufreq/cpuinfo_max_freq"}) {
    const std::vector<std::string> words = FirstLine(folder + file);
    int64_t speed = 0;
    if (words.size() == 1 && absl::SimpleAtoi(words[0], &speed) && speed > 0) return speed;
  }
  return std::nullopt;
}

// CPUs that `quota` microseconds in every `period` keep busy, rounded down: a thread more than the
// quota feeds would use it up waiting for the others. Empty for "max", "-1" and what is no quota.
std::optional<int64_t> Cpus(const std::string& quota, const std::string& period) {
  int64_t used = 0, of = 0;
  if (!absl::SimpleAtoi(quota, &used) || !absl::SimpleAtoi(period, &of)) return std::nullopt;
  if (used <= 0 || of <= 0) return std::nullopt;
  return std::max<int64_t>(1, used / of);
}

std::optional<int64_t> QuotaOfFolder(const std::string& folder) {
  const std::vector<std::string> v2 = FirstLine(folder + "/cpu.max");
  if (v2.size() == 2) return Cpus(v2[0], v2[1]);
  const std::vector<std::string> quota = FirstLine(folder + "/cpu.cfs_quota_us");
  const std::vector<std::string> period = FirstLine(folder + "/cpu.cfs_period_us");
  if (quota.size() != 1 || period.size() != 1) return std::nullopt;
  return Cpus(quota[0], period[0]);
}

}  // namespace

std::optional<int> CpuQuota(const std::string& root) {
  const std::optional<int64_t> cpus = LeastOfControlGroups(root, "cpu", QuotaOfFolder);
  if (!cpus.has_value()) return std::nullopt;
  return static_cast<int>(std::min<int64_t>(*cpus, std::numeric_limits<int>::max()));
}

// The kernel refuses a set that is smaller than its own, and does not say how large that is.
std::vector<int> AllowedCpus() {
  std::vector<int> allowed;
  for (int most = CPU_SETSIZE; most <= kMostCpus; most *= 2) {
    const CpuSet cpus = MakeCpuSet(most);
    if (cpus.set == nullptr) return allowed;
    if (sched_getaffinity(0, cpus.bytes, cpus.set.get()) == 0) {
      for (int cpu = 0; cpu < most; ++cpu) {
        if (CPU_ISSET_S(cpu, cpus.bytes, cpus.set.get())) allowed.push_back(cpu);
      }
      return allowed;
    }
    if (errno != EINVAL) return allowed;
  }
  return allowed;
}

std::vector<int> FastCpus(const std::vector<int>& cpus, const std::string& root) {
  std::vector<int64_t> speeds;
  for (const int cpu : cpus) {
    const std::optional<int64_t> speed = SpeedOf(cpu, root);
    if (!speed.has_value()) return cpus;
    speeds.push_back(*speed);
  }
  if (cpus.empty()) return cpus;
  const int64_t least = *std::max_element(speeds.begin(), speeds.end()) / 2;
  std::vector<int> fast;
  for (size_t i = 0; i < cpus.size(); ++i) {
    if (speeds[i] >= least) fast.push_back(cpus[i]);
  }
  return fast;
}

int UsableCpus() {
  const int allowed = std::max(1, static_cast<int>(AllowedCpus().size()));
  return std::min(allowed, CpuQuota().value_or(allowed));
}

int BestThreads() {
  const int fast = std::max(1, static_cast<int>(FastCpus(AllowedCpus()).size()));
  return std::min(fast, CpuQuota().value_or(fast));
}

void KeepToFastCpus(int threads, const std::string& root) {
  const std::vector<int> allowed = AllowedCpus(), fast = FastCpus(allowed, root);
  if (fast.size() == allowed.size() || static_cast<int>(fast.size()) < threads) return;
  const CpuSet cpus = MakeCpuSet(fast.back() + 1);
  if (cpus.set == nullptr) return;
  for (const int cpu : fast) CPU_SET_S(cpu, cpus.bytes, cpus.set.get());
  sched_setaffinity(0, cpus.bytes, cpus.set.get());  // where it is refused, nothing is lost
}

}  // namespace nearfar
