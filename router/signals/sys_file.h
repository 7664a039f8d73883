// Reads one small file of /sys or /proc. What is absent, too long or no number is "unknown": a
// kernel, a container or a hostile tree may put anything there. Held by
// tests/router/signals/signals_test.cc.

#ifndef NEARFAR_ROUTER_SIGNALS_SYS_FILE_H_
#define NEARFAR_ROUTER_SIGNALS_SYS_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nearfar::internal {

// The first 16 KiB of a regular file without trailing white space; empty where it cannot be read.
// Never blocks on a pipe or a device.
std::optional<std::string> ReadSmallFile(const std::string& path);

// A whole decimal number and nothing else.
std::optional<int64_t> ReadNumber(const std::string& path);

// Names in a folder, sorted, at most 256; empty where there is none.
std::vector<std::string> ListFolder(const std::string& path);

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_SIGNALS_SYS_FILE_H_
