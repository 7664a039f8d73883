// How many CPUs this process has a use for: what a container or taskset leaves of the machine's,
// and which of them are fast. Held by tests/local_engine/base/usable_cpus_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_USABLE_CPUS_H_
#define NEARFAR_LOCAL_ENGINE_BASE_USABLE_CPUS_H_

#include <optional>
#include <string>
#include <vector>

namespace nearfar {

// The CPUs that this thread may run on, but no more than its control group's quota of CPU time
// keeps wholly busy: more threads would all be stopped together until the next period. >= 1. Reads
// a few files. Thread-safe.
int UsableCpus();

// The least quota of this process's control group and the groups around it, in CPUs rounded down,
// but at least 1; empty where there is none. Reads, as control_group.h says, cpu.max of version 2
// or cpu.cfs_quota_us and cpu.cfs_period_us of version 1. `root` stands before these paths.
std::optional<int> CpuQuota(const std::string& root = "");

// Numbers of the CPUs that this thread may run on; none if the system does not tell.
std::vector<int> AllowedCpus();

// Those of `cpus` that are at least half as fast as the fastest of them: a job that all share would
// wait for slower ones, and most of the energy is theirs too. Of big.LITTLE the big ones; all where
// the system does not tell how fast each is (cpu_capacity, or else cpufreq/cpuinfo_max_freq, below
// /sys/devices/system/cpu). `root` stands before these paths. Thread-safe.
std::vector<int> FastCpus(const std::vector<int>& cpus, const std::string& root = "");

// Threads that a job is best shared among: the fast ones of the usable CPUs. >= 1. Thread-safe.
int BestThreads();

// Keeps the calling thread, one of `threads` that share their jobs, to the fast CPUs. Does nothing
// where there are no others, or fewer fast ones than threads.
void KeepToFastCpus(int threads, const std::string& root = "");

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_USABLE_CPUS_H_
