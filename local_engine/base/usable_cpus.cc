// Of the kernel's documentation: admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst
// (cpu.cfs_*).

#include "local_engine/base/usable_cpus.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "absl/strings/numbers.h"
#include "local_engine/base/control_group.h"

namespace nearfar {
namespace {

constexpr int kMostCpus = 1 << 20;  // beyond, the kernel's answer is not believed

struct FreeCpuSet {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};

// The kernel refuses a set that is smaller than its own, and does not say how large that is.
int AllowedCpus() {
  for (int cpus = CPU_SETSIZE; cpus <= kMostCpus; cpus *= 2) {
    const std::unique_ptr<cpu_set_t, FreeCpuSet> set(CPU_ALLOC(cpus));
    if (set == nullptr) return 1;
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    if (sched_getaffinity(0, bytes, set.get()) == 0) {
      return std::max(1, CPU_COUNT_S(bytes, set.get()));
    }
    if (errno != EINVAL) return 1;
  }
  return 1;
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

int UsableCpus() {
  const int allowed = AllowedCpus();
  return std::min(allowed, CpuQuota().value_or(allowed));
}

}  // namespace nearfar
