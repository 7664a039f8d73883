// How hot the CPU is, as the kernel tells it. Held by
// tests/local_engine/base/thermometer_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_BASE_THERMOMETER_H_
#define NEARFAR_LOCAL_ENGINE_BASE_THERMOMETER_H_

#include <optional>
#include <string>

namespace nearfar {

inline constexpr double kHottestReading = 150;  // above, a sensor is broken

// The hottest, in degrees Celsius, of the first of these that there are: zones below
// /sys/class/thermal whose type names a CPU, a core, a package or a SoC; sensors below
// /sys/class/hwmon whose driver reads a CPU's; all zones. Readings that no working sensor gives do
// not count. Empty where nothing can be read, as in many containers and virtual machines. Reads
// some small files, of which a slow sensor's may take milliseconds. `root` stands before these
// paths. Thread-safe.
std::optional<double> CpuCelsius(const std::string& root = "");

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_BASE_THERMOMETER_H_
