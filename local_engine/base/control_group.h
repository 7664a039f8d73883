// What the control groups around this process allow it: the walk that their limits share.
// Held by tests/local_engine/base/usable_cpus_test.cc and usable_memory_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_CONTROL_GROUP_H_
#define NEARFAR_LOCAL_ENGINE_BASE_CONTROL_GROUP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"

namespace nearfar {

// Reads a limit out of a group's folder; empty where the folder names none.
using ControlGroupReader = absl::FunctionRef<std::optional<int64_t>(const std::string& folder)>;

// The least that `read` finds of this process's control group and the groups around it; empty where
// there is none. Reads /proc/self/cgroup; the folders are below /sys/fs/cgroup, for version 1 below
// that of `controller` ("cpu", "memory"). `root` stands before these paths. Thread-safe.
std::optional<int64_t> LeastOfControlGroups(const std::string& root, const std::string& controller,
                                            ControlGroupReader read);

// The words of a file's first line; none if it cannot be read.
std::vector<std::string> FirstLine(const std::string& path);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_CONTROL_GROUP_H_
