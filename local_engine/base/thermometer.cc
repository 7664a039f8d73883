// Of the kernel's documentation: driver-api/thermal/sysfs-api.rst (type, temp) and
// hwmon/sysfs-interface.rst (name, temp*_input); both in thousandths of a degree.
//
// The router's signal of heat (router/signals/thermal.cc) asks another thing, of all zones: how
// near any part of the device is to its own trip points. It links no engine.

#include "local_engine/base/thermometer.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "local_engine/base/control_group.h"

namespace nearfar {
namespace {

namespace fs = std::filesystem;

// Of zones and of drivers: "x86_pkg_temp", "cpu-thermal", "bigcore0-thermal", "soc_thermal",
// "coretemp".
constexpr const char* kCpuWords[] = {"cpu", "core", "pkg", "soc", "k10temp", "zenpower"};
constexpr double kColdestReading = -40;

using Celsius = std::optional<double>;

bool NamesCpu(const std::string& file) {
  const std::vector<std::string> words = FirstLine(file);
  if (words.empty()) return false;
  const std::string name = absl::AsciiStrToLower(words[0]);
  return std::any_of(std::begin(kCpuWords), std::end(kCpuWords),
                     [&](const char* word) { return absl::StrContains(name, word); });
}

Celsius Read(const std::string& file) {
  const std::vector<std::string> words = FirstLine(file);
  int64_t thousandths = 0;
  if (words.size() != 1 || !absl::SimpleAtoi(words[0], &thousandths)) return std::nullopt;
  const double celsius = static_cast<double>(thousandths) / 1000;
  if (celsius < kColdestReading || celsius > kHottestReading) return std::nullopt;
  return celsius;
}

Celsius Hotter(Celsius a, Celsius b) { return std::max(a, b); }  // unknown is below all

// Paths in a folder whose names begin so; none where there is no such folder.
std::vector<std::string> Entries(const std::string& folder, const std::string& prefix) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (absl::StartsWith(it->path().filename().string(), prefix)) {
      paths.push_back(it->path().string());
    }
  }
  return paths;
}

Celsius HottestOfDriver(const std::string& folder) {
  Celsius hottest;
  for (const std::string& path : Entries(folder, "temp")) {
    if (absl::EndsWith(path, "_input")) hottest = Hotter(hottest, Read(path));
  }
  return hottest;
}

}  // namespace

std::optional<double> CpuCelsius(const std::string& root) {
  Celsius of_cpu, of_driver, of_any;
  for (const std::string& zone : Entries(root + "/sys/class/thermal", "thermal_zone")) {
    const Celsius celsius = Read(zone + "/temp");
    of_any = Hotter(of_any, celsius);
    if (NamesCpu(zone + "/type")) of_cpu = Hotter(of_cpu, celsius);
  }
  if (of_cpu.has_value()) return of_cpu;
  for (const std::string& driver : Entries(root + "/sys/class/hwmon", "hwmon")) {
    if (NamesCpu(driver + "/name")) of_driver = Hotter(of_driver, HottestOfDriver(driver));
  }
  return of_driver.has_value() ? of_driver : of_any;
}

}  // namespace nearfar
