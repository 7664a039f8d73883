// What counts as a change of a file: whole new content, however it came, and nothing half-written.

#include "router/daemon/file_watch.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace nearfar::daemon {
namespace {

class FileWatchTest : public ::testing::Test {
 protected:
  static void Write(const std::string& path) { std::ofstream(path) << "x"; }

  testing::TempDir folder_;
  const std::string path_ = folder_.File("policy.yaml");
  const std::string other_ = folder_.File("other.yaml");
  FileWatch watch_{path_};
};

TEST_F(FileWatchTest, AWrittenAndClosedFileIsAChange) {
  ASSERT_GE(watch_.fd(), 0);
  EXPECT_FALSE(watch_.Changed());
  Write(path_);
  EXPECT_TRUE(watch_.Changed());
  EXPECT_FALSE(watch_.Changed());  // told once
}

TEST_F(FileWatchTest, AFileThatIsStillBeingWrittenIsNone) {
  Write(path_);
  EXPECT_TRUE(watch_.Changed());
  std::remove(path_.c_str());
  EXPECT_FALSE(watch_.Changed());
  std::ofstream slow(path_);
  slow << "the beginning" << std::flush;
  EXPECT_FALSE(watch_.Changed());
  slow << " and the end";
  slow.close();
  EXPECT_TRUE(watch_.Changed());
}

TEST_F(FileWatchTest, TellsWhileSomebodyWrites) {
  Write(path_);
  EXPECT_TRUE(watch_.Changed());
  EXPECT_FALSE(watch_.being_written());
  std::ofstream slow(path_);
  EXPECT_FALSE(watch_.Changed());
  EXPECT_TRUE(watch_.being_written());
  EXPECT_FALSE(watch_.Changed());
  EXPECT_TRUE(watch_.being_written());  // until it is closed
  slow.close();
  EXPECT_TRUE(watch_.Changed());
  EXPECT_FALSE(watch_.being_written());
  std::ofstream left(path_);
  EXPECT_FALSE(watch_.Changed());
  Write(other_);
  EXPECT_FALSE(watch_.Changed());
  EXPECT_TRUE(watch_.being_written());  // another file is none of it
  ASSERT_EQ(std::rename(other_.c_str(), path_.c_str()), 0);
  EXPECT_TRUE(watch_.Changed());
  EXPECT_FALSE(watch_.being_written());  // it has a new one's name
}

TEST_F(FileWatchTest, RenamesAndLinksAreChanges) {
  Write(other_);
  EXPECT_FALSE(watch_.Changed());
  ASSERT_EQ(std::rename(other_.c_str(), path_.c_str()), 0);
  EXPECT_TRUE(watch_.Changed());
  std::remove(path_.c_str());
  Write(other_);
  EXPECT_FALSE(watch_.Changed());
  ASSERT_EQ(link(other_.c_str(), path_.c_str()), 0);
  EXPECT_TRUE(watch_.Changed());
  std::remove(path_.c_str());
  ASSERT_EQ(symlink("other.yaml", path_.c_str()), 0);
  EXPECT_TRUE(watch_.Changed());
  ASSERT_EQ(symlink(folder_.path().c_str(), folder_.File("..data").c_str()), 0);
  EXPECT_TRUE(watch_.Changed());
}

TEST_F(FileWatchTest, AFolderThatIsNotThereIsNotWatched) {
  FileWatch none(folder_.File("no/policy.yaml"));
  EXPECT_EQ(none.fd(), -1);
  EXPECT_FALSE(none.Changed());
}

}  // namespace
}  // namespace nearfar::daemon
