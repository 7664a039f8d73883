// Of the kernel's documentation: admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst
// (cpu.cfs_*).

#include "local_engine/base/usable_cpus.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <limits>
#include <memory>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace nearfar {
namespace {

constexpr char kGroups[] = "/sys/fs/cgroup";
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

// The words of a file's first line; none if it cannot be read.
std::vector<std::string> FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return absl::StrSplit(line, ' ', absl::SkipEmpty());
}

// CPUs that `quota` microseconds in every `period` keep busy; empty for "max", "-1" and what is no
// quota.
std::optional<int> Cpus(const std::string& quota, const std::string& period) {
  int64_t used = 0, of = 0;
  if (!absl::SimpleAtoi(quota, &used) || !absl::SimpleAtoi(period, &of)) return std::nullopt;
  if (used <= 0 || of <= 0) return std::nullopt;
  const int64_t cpus = used / of + (used % of == 0 ? 0 : 1);
  return static_cast<int>(std::min<int64_t>(cpus, std::numeric_limits<int>::max()));
}

std::optional<int> QuotaOfFolder(const std::string& folder) {
  const std::vector<std::string> v2 = FirstLine(folder + "/cpu.max");
  if (v2.size() == 2) return Cpus(v2[0], v2[1]);
  const std::vector<std::string> quota = FirstLine(folder + "/cpu.cfs_quota_us");
  const std::vector<std::string> period = FirstLine(folder + "/cpu.cfs_period_us");
  if (quota.size() != 1 || period.size() != 1) return std::nullopt;
  return Cpus(quota[0], period[0]);
}

// The least of a group and all around it, up to the hierarchy's own folder. In a container the path
// may be the host's, of which nothing is to be seen below the folder: then that folder is the
// container's group.
std::optional<int> QuotaOfGroup(const std::string& hierarchy, std::string path) {
  std::optional<int> least;
  while (true) {
    const std::optional<int> quota = QuotaOfFolder(hierarchy + path);
    if (quota.has_value()) least = std::min(*quota, least.value_or(*quota));
    if (path.empty()) return least;
    path.resize(path.find_last_of('/'));
  }
}

// "hierarchy:controllers:path" of /proc/self/cgroup; empty where it has no say in CPU time.
std::optional<int> QuotaOfLine(const std::string& root, const std::string& line) {
  const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
  if (fields.size() != 3 || fields[2].empty() || fields[2][0] != '/') return std::nullopt;
  const std::string path = fields[2] == "/" ? "" : fields[2];
  if (fields[1].empty()) return QuotaOfGroup(absl::StrCat(root, kGroups), path);
  const std::vector<std::string> controllers = absl::StrSplit(fields[1], ',');
  if (std::count(controllers.begin(), controllers.end(), "cpu") == 0) return std::nullopt;
  return QuotaOfGroup(absl::StrCat(root, kGroups, "/cpu"), path);
}

}  // namespace

std::optional<int> CpuQuota(const std::string& root) {
  std::ifstream groups(root + "/proc/self/cgroup");
  std::optional<int> least;
  std::string line;
  while (std::getline(groups, line)) {
    const std::optional<int> quota = QuotaOfLine(root, line);
    if (quota.has_value()) least = std::min(*quota, least.value_or(*quota));
  }
  return least;
}

int UsableCpus() {
  const int allowed = AllowedCpus();
  return std::min(allowed, CpuQuota().value_or(allowed));
}

}  // namespace nearfar
