// How much memory this process may come to hold: what a container leaves of the machine's.
// Held by tests/local_engine/base/usable_memory_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_USABLE_MEMORY_H_
#define NEARFAR_LOCAL_ENGINE_BASE_USABLE_MEMORY_H_

#include <cstdint>
#include <optional>
#include <string>

namespace nearfar {

// Bytes: the machine's, but no more than its control group lets this process hold before the
// kernel kills it; 0 where neither is known. Reads a few files. Thread-safe.
int64_t UsableMemory();

// The least limit of this process's control group and the groups around it, in bytes; empty where
// there is none. Reads, as control_group.h says, memory.max of version 2 or memory.limit_in_bytes
// of version 1. `root` stands before these paths.
std::optional<int64_t> MemoryLimit(const std::string& root = "");

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_USABLE_MEMORY_H_
