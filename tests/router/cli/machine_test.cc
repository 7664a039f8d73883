#include "router/cli/machine.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace nearfar::cli {
namespace {

class Machine : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = dir_.File(path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }
  // One domain of powercap.
  void WriteRapl(const std::string& domain, const std::string& name, const std::string& energy,
                 const std::string& range) const {
    const std::string folder = "sys/class/powercap/" + domain;
    Write(folder + "/name", name);
    Write(folder + "/energy_uj", energy);
    Write(folder + "/max_energy_range_uj", range);
  }

  testing::TempDir dir_;
};

TEST_F(Machine, TheCpuHasANameWhereTheKernelSaysOne) {
  EXPECT_FALSE(CpuName(dir_.path()).has_value());
  Write("proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: X\nmodel\t\t: 17\nmodel name\t: A CPU: 2 GHz\n");
  EXPECT_EQ(CpuName(dir_.path()).value_or(""), "A CPU: 2 GHz");
  Write("proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd");
  EXPECT_FALSE(CpuName(dir_.path()).has_value());
}

TEST_F(Machine, WithoutCountersEnergyIsNotKnown) {
  EXPECT_FALSE(EnergyCounter(dir_.path()).Joules().has_value());
}

TEST_F(Machine, ThePackagesOfRaplAreAddedUp) {
  WriteRapl("intel-rapl:0", "package-0", "1000000", "9000000");
  WriteRapl("intel-rapl:0:0", "core", "1000000", "9000000");
  WriteRapl("intel-rapl:1", "package-1", "5000000", "9000000");
  WriteRapl("intel-rapl:2", "psys", "1000000", "9000000");
  EnergyCounter counter(dir_.path());
  EXPECT_DOUBLE_EQ(counter.Joules().value_or(-1), 0);
  WriteRapl("intel-rapl:0", "package-0", "1500000", "9000000");
  WriteRapl("intel-rapl:0:0", "core", "1400000", "9000000");
  WriteRapl("intel-rapl:1", "package-1", "7000000", "9000000");
  WriteRapl("intel-rapl:2", "psys", "4000000", "9000000");
  EXPECT_DOUBLE_EQ(counter.Joules().value_or(-1), 2.5);
  EXPECT_DOUBLE_EQ(counter.Joules().value_or(-1), 2.5);
}

TEST_F(Machine, ACounterThatWrapsGoesOn) {
  WriteRapl("intel-rapl:0", "package-0", "8000000", "9000000");
  EnergyCounter counter(dir_.path());
  WriteRapl("intel-rapl:0", "package-0", "500000", "9000000");
  EXPECT_DOUBLE_EQ(counter.Joules().value_or(-1), 1.5);
  WriteRapl("intel-rapl:0", "package-0", "1500000", "9000000");
  EXPECT_DOUBLE_EQ(counter.Joules().value_or(-1), 2.5);
}

TEST_F(Machine, ACounterThatFallsOrGoesIsNotBelieved) {
  Write("sys/class/powercap/intel-rapl:0/name", "package-0");
  Write("sys/class/powercap/intel-rapl:0/energy_uj", "8000000");
  EnergyCounter counter(dir_.path());
  Write("sys/class/powercap/intel-rapl:0/energy_uj", "5");
  EXPECT_FALSE(counter.Joules().has_value()) << "without a range it does not wrap";
  Write("sys/class/powercap/intel-rapl:0/energy_uj", "no number");
  EXPECT_FALSE(counter.Joules().has_value());
}

TEST_F(Machine, SocketsOfHwmonServeWhereRaplDoesNot) {
  Write("sys/class/powercap/intel-rapl:0/name", "package-0");  // whose energy root alone may read
  Write("sys/class/hwmon/hwmon1/energy1_label", "Ecore000");
  Write("sys/class/hwmon/hwmon1/energy1_input", "1");
  Write("sys/class/hwmon/hwmon1/energy9_label", "Esocket0");
  Write("sys/class/hwmon/hwmon1/energy9_input", "2000000");
  Write("sys/class/hwmon/hwmon0/temp1_label", "Esocket0");
  EnergyCounter counter(dir_.path());
  Write("sys/class/hwmon/hwmon1/energy1_input", "7000000");
  Write("sys/class/hwmon/hwmon1/energy9_input", "2250000");
  EXPECT_DOUBLE_EQ(counter.Joules().value_or(-1), 0.25);
}

}  // namespace
}  // namespace nearfar::cli
