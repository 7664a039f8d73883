// Of the kernel's documentation: admin-guide/cgroup-v2.rst (memory.max) and
// admin-guide/cgroup-v1/memory.rst (memory.limit_in_bytes).

#include "local_engine/base/usable_memory.h"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "local_engine/base/control_group.h"

namespace nearfar {
namespace {

// Empty for "max" and what is no limit; where version 1 has none it says so with a number beyond
// any machine.
std::optional<int64_t> LimitOfFolder(const std::string& folder) {
  for (const char* file : {"/memory.max", "/memory.limit_in_bytes"}) {
    const std::vector<std::string> words = FirstLine(folder + file);
    int64_t bytes = 0;
    if (words.size() == 1 && absl::SimpleAtoi(words[0], &bytes) && bytes > 0) return bytes;
  }
  return std::nullopt;
}

std::optional<int64_t> MachineMemory() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES);
  const int64_t page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return std::nullopt;
  return pages * page_bytes;
}

}  // namespace

std::optional<int64_t> MemoryLimit(const std::string& root) {
  return LeastOfControlGroups(root, "memory", LimitOfFolder);
}

int64_t UsableMemory() {
  const std::optional<int64_t> machine = MachineMemory();
  const std::optional<int64_t> limit = MemoryLimit();
  return std::min(machine.value_or(limit.value_or(0)), limit.value_or(machine.value_or(0)));
}

}  // namespace nearfar
