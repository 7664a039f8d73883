// Heat from /sys/class/thermal: the hottest zone, and how close each zone is to its own trip
// points. A zone past its critical point is critical, past "hot" or "passive" hot (the kernel
// throttles there), past "active" (a fan starts) warm. Zones without trip points are judged by
// common limits of silicon. Source: Linux Documentation/driver-api/thermal/sysfs-api.rst. Held by
// tests/router/signals/signals_test.cc.

#include <algorithm>

#include "router/signals/all_signals.h"
#include "router/signals/sys_file.h"

namespace nearfar::internal {
namespace {

constexpr int64_t kLowestMilliCelsius = -40'000;  // below and above, a sensor is broken
constexpr int64_t kHighestMilliCelsius = 150'000;
constexpr int kMaxTripPoints = 16;

bool IsPlausible(std::optional<int64_t> temperature) {
  return temperature && *temperature > kLowestMilliCelsius && *temperature < kHighestMilliCelsius;
}

ThermalLevel LevelOfTrip(const std::string& type) {
  if (type == "critical") return ThermalLevel::kCritical;
  if (type == "hot" || type == "passive") return ThermalLevel::kHot;
  return ThermalLevel::kWarm;  // "active"
}

ThermalLevel LevelWithoutTrips(int64_t temperature) {
  if (temperature >= 100'000) return ThermalLevel::kCritical;
  if (temperature >= 85'000) return ThermalLevel::kHot;
  if (temperature >= 70'000) return ThermalLevel::kWarm;
  return ThermalLevel::kCool;
}

ThermalLevel LevelOfZone(const std::string& zone, int64_t temperature) {
  ThermalLevel level = ThermalLevel::kCool;
  bool any_trip = false;
  for (int i = 0; i < kMaxTripPoints; ++i) {
    const std::string trip = zone + "/trip_point_" + std::to_string(i);
    std::optional<std::string> type = ReadSmallFile(trip + "_type");
    if (!type) break;
    std::optional<int64_t> at = ReadNumber(trip + "_temp");
    // A trip point at or below zero is one that the firmware switched off.
    if (!IsPlausible(at) || *at <= 0) continue;
    any_trip = true;
    if (temperature >= *at) level = std::max(level, LevelOfTrip(*type));
  }
  return any_trip ? level : LevelWithoutTrips(temperature);
}

class ThermalSignal : public SignalSource {
 public:
  explicit ThermalSignal(const std::string& root) : folder_(root + "/sys/class/thermal") {}

  const char* name() const override { return "thermal"; }

  void Read(DeviceSignals* signals) const override {
    for (const std::string& name : ListFolder(folder_)) {
      if (name.rfind("thermal_zone", 0) != 0) continue;
      const std::string zone = folder_ + "/" + name;
      std::optional<int64_t> temperature = ReadNumber(zone + "/temp");
      if (!IsPlausible(temperature)) continue;
      const double celsius = static_cast<double>(*temperature) / 1000;
      const ThermalLevel level = LevelOfZone(zone, *temperature);
      signals->temperature_celsius =
          std::max(signals->temperature_celsius.value_or(celsius), celsius);
      signals->thermal = std::max(signals->thermal.value_or(level), level);
    }
  }

 private:
  const std::string folder_;
};

}  // namespace

std::shared_ptr<SignalSource> MakeThermalSignal(const std::string& root) {
  return std::make_shared<ThermalSignal>(root);
}

}  // namespace nearfar::internal
