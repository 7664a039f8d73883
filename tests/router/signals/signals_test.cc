// Holds router/signals/: every source on made-up trees, as absent, as usual and as hostile.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "router/signals/signal_source.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

class SignalsTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    std::filesystem::path full = dir_.File(path);
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  void Battery(const std::string& name, const std::string& capacity, const std::string& status) {
    const std::string base = "sys/class/power_supply/" + name + "/";
    Write(base + "type", "Battery\n");
    Write(base + "capacity", capacity);
    Write(base + "status", status);
  }
  void Zone(int number, const std::string& temperature) {
    Write("sys/class/thermal/thermal_zone" + std::to_string(number) + "/temp", temperature);
  }
  void Trip(int zone, int trip, const std::string& type, const std::string& temperature) {
    const std::string base = "sys/class/thermal/thermal_zone" + std::to_string(zone) +
                             "/trip_point_" + std::to_string(trip);
    Write(base + "_type", type);
    Write(base + "_temp", temperature);
  }
  DeviceSignals Read() {
    DeviceSignals signals;
    for (const auto& source : AllSignalSources(dir_.path())) source->Read(&signals);
    return signals;
  }

  testing::TempDir dir_;
};

TEST_F(SignalsTest, TheListHasUniqueNames) {
  std::set<std::string> names;
  for (const auto& source : AllSignalSources()) names.insert(source->name());
  EXPECT_EQ(names, (std::set<std::string>{"battery", "thermal", "memory", "cpu_load"}));
}

TEST_F(SignalsTest, AbsentIsUnknown) {
  DeviceSignals signals = Read();
  EXPECT_FALSE(signals.battery || signals.on_battery || signals.temperature_celsius ||
               signals.thermal || signals.free_memory_bytes || signals.cpu_load);
}

TEST_F(SignalsTest, TheRealMachineNeverFails) {
  DeviceSignals signals;
  for (const auto& source : AllSignalSources()) source->Read(&signals);
  if (signals.battery) EXPECT_LE(*signals.battery, 1);
}

TEST_F(SignalsTest, Battery) {
  Battery("BAT0", "80\n", "Discharging\n");
  EXPECT_EQ(Read().battery, 0.8);
  EXPECT_EQ(Read().on_battery, true);
  Battery("BAT1", "40\n", "Unknown\n");
  EXPECT_DOUBLE_EQ(*Read().battery, 0.6);
}

TEST_F(SignalsTest, BatteriesOfOtherDevicesDoNotCount) {
  Battery("hid-mouse", "5\n", "Discharging\n");
  Write("sys/class/power_supply/hid-mouse/scope", "Device\n");
  EXPECT_FALSE(Read().battery);
  Battery("BAT0", "100\n", "Full\n");
  EXPECT_EQ(Read().battery, 1);
  EXPECT_EQ(Read().on_battery, false);
}

TEST_F(SignalsTest, MainsAloneTellsNothing) {
  Write("sys/class/power_supply/AC/type", "Mains\n");
  Write("sys/class/power_supply/AC/capacity", "50\n");
  EXPECT_FALSE(Read().battery);
}

TEST_F(SignalsTest, HostileBatteryIsIgnored) {
  for (const char* capacity : {"-1", "101", "fifty", "", "99999999999999999999", "50 50"}) {
    Battery("BAT0", capacity, "Discharging");
    EXPECT_FALSE(Read().battery) << capacity;
  }
}

TEST_F(SignalsTest, ThermalFollowsItsTripPoints) {
  Zone(0, "60000\n");
  Trip(0, 0, "active\n", "50000\n");
  Trip(0, 1, "passive\n", "80000\n");
  Trip(0, 2, "critical\n", "95000\n");
  EXPECT_EQ(Read().thermal, ThermalLevel::kWarm);
  EXPECT_EQ(Read().temperature_celsius, 60);
  Zone(0, "80000\n");
  EXPECT_EQ(Read().thermal, ThermalLevel::kHot);
  Zone(0, "96000\n");
  EXPECT_EQ(Read().thermal, ThermalLevel::kCritical);
  Zone(0, "20000\n");
  EXPECT_EQ(Read().thermal, ThermalLevel::kCool);
}

TEST_F(SignalsTest, TheHottestZoneCounts) {
  Zone(0, "40000");
  Zone(1, "90000");
  EXPECT_EQ(Read().temperature_celsius, 90);
  EXPECT_EQ(Read().thermal, ThermalLevel::kHot);
}

TEST_F(SignalsTest, HostileThermalIsIgnored) {
  for (const char* temperature : {"-274000", "999999999", "hot", "", "4e4"}) {
    Zone(0, temperature);
    EXPECT_FALSE(Read().thermal) << temperature;
  }
  Zone(0, "40000");
  Trip(0, 0, "critical", "-1");
  Trip(0, 1, "critical", "0");
  EXPECT_EQ(Read().thermal, ThermalLevel::kCool);
}

TEST_F(SignalsTest, Memory) {
  Write("proc/meminfo", "MemTotal:       8000 kB\nMemAvailable:   4000 kB\nBuffers: 1 kB\n");
  EXPECT_EQ(Read().free_memory_bytes, 4000 * 1024);
}

TEST_F(SignalsTest, HostileMemoryIsIgnored) {
  for (const char* text : {"", "MemAvailable:", "MemAvailable: -5 kB", "MemAvailable: 5 MB",
                           "MemAvailable: 9223372036854775807 kB", "MemFree: 5 kB"}) {
    Write("proc/meminfo", text);
    EXPECT_FALSE(Read().free_memory_bytes) << text;
  }
}

TEST_F(SignalsTest, CpuLoadIsOverTheCores) {
  Write("proc/loadavg", "3.00 1.00 0.50 2/345 6789\n");
  for (int i = 0; i < 4; ++i) {
    std::filesystem::create_directories(
        dir_.File("sys/devices/system/cpu/cpu" + std::to_string(i)));
  }
  std::filesystem::create_directories(dir_.File("sys/devices/system/cpu/cpufreq"));
  EXPECT_EQ(Read().cpu_load, 0.75);
}

TEST_F(SignalsTest, HostileLoadIsIgnored) {
  for (const char* text :
       {"", "nan 1 1 1/1 1", "inf 1 1 1/1 1", "-1 1 1 1/1 1", "1.0", "x y z a b"}) {
    Write("proc/loadavg", text);
    EXPECT_FALSE(Read().cpu_load) << text;
  }
}

TEST_F(SignalsTest, APipeInTheTreeDoesNotHang) {
  std::filesystem::create_directories(dir_.File("proc"));
  ASSERT_EQ(mkfifo(dir_.File("proc/meminfo").c_str(), 0600), 0);
  ASSERT_EQ(mkfifo(dir_.File("proc/loadavg").c_str(), 0600), 0);
  EXPECT_FALSE(Read().free_memory_bytes);
}

TEST_F(SignalsTest, AHugeFileIsReadInPart) {
  Write("proc/meminfo", std::string(1 << 20, 'x') + "\nMemAvailable: 4000 kB\n");
  EXPECT_FALSE(Read().free_memory_bytes);
}

}  // namespace
}  // namespace nearfar
