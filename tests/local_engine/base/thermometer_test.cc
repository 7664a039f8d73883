// local_engine/base/thermometer.h: which sensors count, on made-up trees.

#include "local_engine/base/thermometer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

class ThermometerTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path full = folder_.File(path);
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text << "\n";
  }
  void Zone(int number, const std::string& type, const std::string& temp) {
    const std::string zone = "sys/class/thermal/thermal_zone" + std::to_string(number);
    Write(zone + "/type", type);
    Write(zone + "/temp", temp);
  }
  void Sensor(const std::string& driver, const std::string& name, const std::string& input,
              const std::string& temp) {
    Write("sys/class/hwmon/" + driver + "/name", name);
    Write("sys/class/hwmon/" + driver + "/" + input, temp);
  }
  std::optional<double> Read() const { return CpuCelsius(folder_.path()); }

 private:
  testing::TempDir folder_;
};

TEST_F(ThermometerTest, WithoutSensorsThereIsNoReading) { EXPECT_EQ(Read(), std::nullopt); }

TEST_F(ThermometerTest, TheHottestZoneOfTheCpuCounts) {
  Zone(0, "acpitz", "99000");
  Zone(1, "x86_pkg_temp", "61500");
  Zone(2, "cpu-thermal", "64000");
  Zone(3, "Battery", "98000");
  EXPECT_EQ(Read(), 64);
}

TEST_F(ThermometerTest, NamesOfCpusAreMany) {
  for (const char* type : {"cpu-thermal", "cpu_thermal", "TCPU", "cpuss-0", "bigcore0-thermal",
                           "soc-thermal", "x86_pkg_temp", "coretemp"}) {
    Zone(0, "acpitz", "99000");
    Zone(1, type, "50000");
    EXPECT_EQ(Read(), 50) << type;
  }
}

TEST_F(ThermometerTest, ADriverOfTheCpuIsBetterThanAnyZone) {
  Zone(0, "acpitz", "16800");
  Sensor("hwmon0", "nvme", "temp1_input", "80000");
  Sensor("hwmon1", "k10temp", "temp1_input", "55250");
  Sensor("hwmon1", "k10temp", "temp3_input", "57000");
  Sensor("hwmon1", "k10temp", "temp1_crit", "95000");
  EXPECT_EQ(Read(), 57);
}

TEST_F(ThermometerTest, WhereNobodySaysCpuAnyZoneDoes) {
  Zone(0, "acpitz", "41000");
  Zone(1, "iwlwifi_1", "47000");
  EXPECT_EQ(Read(), 47);
}

TEST_F(ThermometerTest, ABrokenSensorDoesNotCount) {
  Zone(0, "cpu0-thermal", "-274000");
  Zone(1, "cpu1-thermal", "255000");
  Zone(2, "cpu2-thermal", "warm");
  Zone(3, "cpu3-thermal", "");
  EXPECT_EQ(Read(), std::nullopt);
  Zone(4, "acpitz", "30000");
  EXPECT_EQ(Read(), 30);
}

TEST_F(ThermometerTest, OfTheRealMachineIsATemperatureIfAny) {
  if (const std::optional<double> celsius = CpuCelsius()) {
    EXPECT_GE(*celsius, -40);
    EXPECT_LE(*celsius, 150);
  }
}

}  // namespace
}  // namespace nearfar
