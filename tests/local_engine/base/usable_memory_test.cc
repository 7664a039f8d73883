// local_engine/base/usable_memory.h over made-up control groups.

#include "local_engine/base/usable_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

class MemoryLimitTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = dir_.File(path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::optional<int64_t> Limit() const { return MemoryLimit(dir_.path()); }

 private:
  testing::TempDir dir_;
};

TEST_F(MemoryLimitTest, WithoutControlGroupsThereIsNone) { EXPECT_EQ(Limit(), std::nullopt); }

TEST_F(MemoryLimitTest, OfVersion2IsTheLeastOfAllTheGroupsAround) {
  Write("proc/self/cgroup", "0::/system.slice/nearfard.service\n");
  Write("sys/fs/cgroup/system.slice/nearfard.service/memory.max", "max\n");
  EXPECT_EQ(Limit(), std::nullopt);
  Write("sys/fs/cgroup/system.slice/memory.max", "1073741824\n");
  EXPECT_EQ(Limit(), 1 << 30);
  Write("sys/fs/cgroup/system.slice/nearfard.service/memory.max", "536870912\n");
  EXPECT_EQ(Limit(), 1 << 29);
}

// The path is the host's, the folder the container's own.
TEST_F(MemoryLimitTest, OfVersion1StandsWithTheMemoryController) {
  Write("proc/self/cgroup", "5:memory:/docker/0123\n4:cpu,cpuacct:/docker/0123\n");
  Write("sys/fs/cgroup/cpu/memory.limit_in_bytes", "4096\n");
  EXPECT_EQ(Limit(), std::nullopt);
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
  EXPECT_EQ(Limit(), 1 << 28);
}

TEST_F(MemoryLimitTest, NonsenseIsNoLimit) {
  Write("proc/self/cgroup", "0::/\n");
  for (const char* text : {"", "\n", "0", "-1", "1 2", "much", "18446744073709551615"}) {
    Write("sys/fs/cgroup/memory.max", text);
    EXPECT_EQ(Limit(), std::nullopt) << text;
  }
}

TEST(UsableMemoryTest, IsWithinTheMachines) {
  const int64_t machine = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  EXPECT_GT(UsableMemory(), 0);
  EXPECT_LE(UsableMemory(), machine);
}

}  // namespace
}  // namespace nearfar
