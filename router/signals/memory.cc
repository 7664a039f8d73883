// Memory that a new process could take without swapping: MemAvailable of /proc/meminfo.
// Source: proc(5). Held by tests/router/signals/signals_test.cc.

#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "router/signals/all_signals.h"
#include "router/signals/sys_file.h"

namespace nearfar::internal {
namespace {

constexpr int64_t kKib = 1024;

class MemorySignal : public SignalSource {
 public:
  explicit MemorySignal(const std::string& root) : path_(root + "/proc/meminfo") {}

  const char* name() const override { return "memory"; }

  void Read(DeviceSignals* signals) const override {
    std::optional<std::string> text = ReadSmallFile(path_);
    if (!text) return;
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      std::vector<absl::string_view> parts = absl::StrSplit(line, ' ', absl::SkipEmpty());
      int64_t kib = 0;
      if (parts.size() != 3 || parts[0] != "MemAvailable:" || parts[2] != "kB") continue;
      if (!absl::SimpleAtoi(parts[1], &kib) || kib < 0) return;
      if (kib > std::numeric_limits<int64_t>::max() / kKib) return;
      signals->free_memory_bytes = kib * kKib;
      return;
    }
  }

 private:
  const std::string path_;
};

}  // namespace

std::shared_ptr<SignalSource> MakeMemorySignal(const std::string& root) {
  return std::make_shared<MemorySignal>(root);
}

}  // namespace nearfar::internal
