// The one-minute load average over the cores that this machine has: 1 is fully busy.
// Source: proc(5) loadavg. Held by tests/router/signals/signals_test.cc.

#include <cmath>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "router/signals/all_signals.h"
#include "router/signals/sys_file.h"

namespace nearfar::internal {
namespace {

constexpr double kHighestLoad = 1e6;  // beyond it the file lies

class CpuLoadSignal : public SignalSource {
 public:
  explicit CpuLoadSignal(const std::string& root)
      : loadavg_(root + "/proc/loadavg"), cpus_(root + "/sys/devices/system/cpu") {}

  const char* name() const override { return "cpu_load"; }

  void Read(DeviceSignals* signals) const override {
    std::optional<std::string> text = ReadSmallFile(loadavg_);
    if (!text) return;
    std::vector<absl::string_view> parts = absl::StrSplit(*text, ' ');
    double load = 0;
    if (parts.size() != 5 || !absl::SimpleAtod(parts[0], &load)) return;
    if (!std::isfinite(load) || load < 0 || load > kHighestLoad) return;
    signals->cpu_load = load / Cores();
  }

 private:
  // Folders cpu0, cpu1, ... of the tree that is read; this process's own word where there are none.
  int Cores() const {
    int cores = 0;
    for (const std::string& name : ListFolder(cpus_)) {
      int number = 0;
      cores += name.rfind("cpu", 0) == 0 && absl::SimpleAtoi(name.substr(3), &number);
    }
    if (cores > 0) return cores;
    const unsigned known = std::thread::hardware_concurrency();
    return known > 0 ? static_cast<int>(known) : 1;
  }

  const std::string loadavg_;
  const std::string cpus_;
};

}  // namespace

std::shared_ptr<SignalSource> MakeCpuLoadSignal(const std::string& root) {
  return std::make_shared<CpuLoadSignal>(root);
}

}  // namespace nearfar::internal
