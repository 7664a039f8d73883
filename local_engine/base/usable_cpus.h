// How many CPUs this process has a use for: what a container or taskset leaves of the machine's.
// Held by tests/local_engine/base/usable_cpus_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_USABLE_CPUS_H_
#define NEARFAR_LOCAL_ENGINE_BASE_USABLE_CPUS_H_

#include <optional>
#include <string>

namespace nearfar {

// The CPUs that this thread may run on, but no more than its control group's quota of CPU time
// keeps wholly busy: more threads would all be stopped together until the next period. >= 1. Reads
// a few files. Thread-safe.
int UsableCpus();

// The least quota of this process's control group and the groups around it, in CPUs rounded down,
// but at least 1; empty where there is none. Reads, as control_group.h says, cpu.max of version 2
// or cpu.cfs_quota_us and cpu.cfs_period_us of version 1. `root` stands before these paths.
std::optional<int> CpuQuota(const std::string& root = "");

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_USABLE_CPUS_H_
