// local_engine/base/usable_cpus.h over made-up control groups.

#include "local_engine/base/usable_cpus.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

class CpuQuotaTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = dir_.File(path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::optional<int> Quota() const { return CpuQuota(dir_.path()); }

 private:
  testing::TempDir dir_;
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

TEST(UsableCpusTest, AreAtLeastOne) { EXPECT_GE(UsableCpus(), 1); }

}  // namespace
}  // namespace nearfar
