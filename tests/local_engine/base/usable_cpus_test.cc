// local_engine/base/usable_cpus.h over made-up control groups and CPUs.

#include "local_engine/base/usable_cpus.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

class CpuFilesTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = dir_.File(path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::string root() const { return dir_.path(); }

 private:
  testing::TempDir dir_;
};

class CpuQuotaTest : public CpuFilesTest {
 protected:
  std::optional<int> Quota() const { return CpuQuota(root()); }
};

TEST_F(CpuQuotaTest, WithoutControlGroupsThereIsNone) { EXPECT_EQ(Quota(), std::nullopt); }

TEST_F(CpuQuotaTest, OfVersion2IsRoundedDownToAtLeastOne) {
  Write("proc/self/cgroup", "0::/\n");
  Write("sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(Quota(), std::nullopt);
  Write("sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(Quota(), 2);
  Write("sys/fs/cgroup/cpu.max", "250000 100000\n");
  EXPECT_EQ(Quota(), 2);
  Write("sys/fs/cgroup/cpu.max", "1000 100000\n");
  EXPECT_EQ(Quota(), 1);
}

TEST_F(CpuQuotaTest, IsTheLeastOfAllTheGroupsAround) {
  Write("proc/self/cgroup", "0::/system.slice/nearfard.service\n");
  Write("sys/fs/cgroup/system.slice/nearfard.service/cpu.max", "800000 100000\n");
  EXPECT_EQ(Quota(), 8);
  Write("sys/fs/cgroup/system.slice/cpu.max", "300000 100000\n");
  EXPECT_EQ(Quota(), 3);
  Write("sys/fs/cgroup/system.slice/nearfard.service/cpu.max", "max 100000\n");
  EXPECT_EQ(Quota(), 3);
}

TEST_F(CpuQuotaTest, OfVersion1StandsWithTheCpuController) {
  Write("proc/self/cgroup", "5:memory:/box\n4:cpu,cpuacct:/box\n0::/box\n");
  Write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n");
  Write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota(), std::nullopt);
  Write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "150000\n");
  EXPECT_EQ(Quota(), 1);
}

// The path is the host's, the folder the container's own.
TEST_F(CpuQuotaTest, InAContainerTheHierarchysFolderIsItsGroup) {
  Write("proc/self/cgroup", "4:cpu,cpuacct:/docker/0123\n");
  Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
  Write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota(), 4);
}

TEST_F(CpuQuotaTest, NonsenseIsNoQuota) {
  Write("proc/self/cgroup", "0::/\n:::::\nnothing\n7:cpu:relative\n");
  for (const char* text : {"", "\n", "0 100000", "5 0", "a b", "1 2 3", "-5 100000"}) {
    Write("sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(Quota(), std::nullopt) << text;
  }
  Write("sys/fs/cgroup/cpu.max", "9223372036854775807 1");
  EXPECT_GT(Quota(), 1000000);
}

TEST(UsableCpusTest, AreAtLeastOne) {
  EXPECT_GE(UsableCpus(), 1);
  EXPECT_GE(BestThreads(), 1);
  EXPECT_LE(BestThreads(), UsableCpus());
}

using FastCpusTest = CpuFilesTest;

TEST_F(FastCpusTest, AreAllWhereTheirSpeedsAreNotTold) {
  const std::vector<int> cpus = {0, 1, 5};
  EXPECT_EQ(FastCpus(cpus, root()), cpus);
  Write("sys/devices/system/cpu/cpu0/cpu_capacity", "100\n");
  Write("sys/devices/system/cpu/cpu1/cpu_capacity", "1024\n");
  EXPECT_EQ(FastCpus(cpus, root()), cpus) << "5 may be anything";
  Write("sys/devices/system/cpu/cpu5/cpu_capacity", "many\n");
  EXPECT_EQ(FastCpus(cpus, root()), cpus);
  EXPECT_TRUE(FastCpus({}, root()).empty());
}

TEST_F(FastCpusTest, AreTheBigOnesOfBigLittle) {
  const int capacities[] = {325, 325, 512, 870, 1024};
  for (int cpu = 0; cpu < 5; ++cpu) {
    Write(absl::StrCat("sys/devices/system/cpu/cpu", cpu, "/cpu_capacity"),
          absl::StrCat(capacities[cpu], "\n"));
  }
  EXPECT_EQ(FastCpus({0, 1, 2, 3, 4}, root()), (std::vector<int>{2, 3, 4}));
  EXPECT_EQ(FastCpus({0, 1}, root()), (std::vector<int>{0, 1})) << "of those that may be used";
}

TEST_F(FastCpusTest, AreToldByTheirClocksWhereThereAreNoCapacities) {
  Write("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "1000000\n");
  Write("sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq", "2400000\n");
  EXPECT_EQ(FastCpus({0, 1}, root()), std::vector<int>{1});
}

TEST_F(FastCpusTest, AThreadKeepsToThem) {
  const std::vector<int> allowed = AllowedCpus();
  ASSERT_FALSE(allowed.empty());
  for (const int cpu : allowed) {
    Write(absl::StrCat("sys/devices/system/cpu/cpu", cpu, "/cpu_capacity"),
          cpu == allowed.back() ? "1024" : "100");
  }
  const auto kept_of = [&](int threads) {
    std::vector<int> kept;
    std::thread([&] {
      KeepToFastCpus(threads, root());
      kept = AllowedCpus();
    }).join();
    return kept;
  };
  EXPECT_EQ(kept_of(1), std::vector<int>{allowed.back()});
  EXPECT_EQ(kept_of(2), allowed) << "two threads on one CPU would wait for each other";
  EXPECT_EQ(AllowedCpus(), allowed) << "of this thread nothing is changed";
}

}  // namespace
}  // namespace nearfar
