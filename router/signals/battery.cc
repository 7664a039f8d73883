// Charge and power source from /sys/class/power_supply. Batteries of mice and pens (scope "Device")
// do not power this machine and are left out; of several batteries the mean charge counts.
// Source: Linux Documentation/ABI/testing/sysfs-class-power. Held by
// tests/router/signals/signals_test.cc.

#include "router/signals/all_signals.h"
#include "router/signals/sys_file.h"

namespace nearfar::internal {
namespace {

class BatterySignal : public SignalSource {
 public:
  explicit BatterySignal(const std::string& root) : folder_(root + "/sys/class/power_supply") {}

  const char* name() const override { return "battery"; }

  void Read(DeviceSignals* signals) const override {
    int batteries = 0;
    double charge = 0;
    bool discharging = false;
    for (const std::string& supply : ListFolder(folder_)) {
      const std::string path = folder_ + "/" + supply;
      if (ReadSmallFile(path + "/type") != "Battery") continue;
      if (ReadSmallFile(path + "/scope") == "Device") continue;
      std::optional<int64_t> percent = ReadNumber(path + "/capacity");
      if (!percent || *percent < 0 || *percent > 100) continue;
      ++batteries;
      charge += static_cast<double>(*percent) / 100;
      discharging |= ReadSmallFile(path + "/status") == "Discharging";
    }
    if (batteries == 0) return;
    signals->battery = charge / batteries;
    signals->on_battery = discharging;
  }

 private:
  const std::string folder_;
};

}  // namespace

std::shared_ptr<SignalSource> MakeBatterySignal(const std::string& root) {
  return std::make_shared<BatterySignal>(root);
}

}  // namespace nearfar::internal
