// What this machine tells of itself: its CPU's name and the energy that it has used. `root` stands
// before the paths below /proc and /sys; tests point it at a made-up tree. Held by
// tests/router/cli/machine_test.cc.

#ifndef NEARFAR_ROUTER_CLI_MACHINE_H_
#define NEARFAR_ROUTER_CLI_MACHINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nearfar::cli {

// "model name" of /proc/cpuinfo, which x86 has and Arm has not.
std::optional<std::string> CpuName(const std::string& root = "");

// The energy of all CPU packages: the RAPL domains of that name, or where none can be read the
// sockets that the hwmon driver amd_energy counts. Many systems let only root read them. One caller
// at a time.
class EnergyCounter {
 public:
  explicit EnergyCounter(const std::string& root = "");

  // Joules since construction; empty where they cannot be read. A counter that wraps is to be read
  // within its range, which is minutes at least.
  std::optional<double> Joules();

 private:
  struct Domain {
    std::string path;
    int64_t range;  // microjoules at which it starts anew; 0 = it does not
    int64_t last;   // microjoules
  };

  void AddRapl(const std::string& powercap);
  void AddHwmon(const std::string& hwmon);
  void Add(const std::string& path, int64_t range);

  std::vector<Domain> domains_;
  double joules_ = 0;
};

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_MACHINE_H_
