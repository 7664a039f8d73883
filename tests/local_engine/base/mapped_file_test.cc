// local_engine/base/mapped_file.h: a file's bytes, or the reason why not.

#include "local_engine/base/mapped_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include "local_engine/base/aligned_buffer.h"

namespace nearfar {
namespace {

std::string TempPath(const std::string& name) {
  return ::testing::TempDir() + "mapped_file_" + std::to_string(getpid()) + "_" + name;
}

std::string WriteFile(const std::string& name, const std::string& content) {
  const std::string path = TempPath(name);
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

TEST(MappedFileTest, GivesTheBytesAndKeepsThemAfterTheNameIsGone) {
  const std::string content("a\0b\xff", 4);
  const std::string path = WriteFile("content", content);
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  std::remove(path.c_str());
  const absl::Span<const uint8_t> bytes = (*file)->bytes();
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), content);
  EXPECT_EQ((*file)->path(), path);
}

TEST(MappedFileTest, NoticesAWriteButNotAnotherFileOfItsName) {
  const std::string path = WriteFile("changing", "one");
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->CheckUnchanged().ok());
  ASSERT_EQ(std::rename(WriteFile("new", "another").c_str(), path.c_str()), 0);
  EXPECT_TRUE((*file)->CheckUnchanged().ok());

  const auto longer = MappedFile::Open(path);
  ASSERT_TRUE(longer.ok()) << longer.status();
  std::ofstream(path, std::ios::binary | std::ios::app) << "!";
  EXPECT_EQ((*longer)->CheckUnchanged().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE((*longer)->CheckUnchanged().message().find(path), std::string::npos);

  const auto touched = MappedFile::Open(path);
  ASSERT_TRUE(touched.ok()) << touched.status();
  const timespec times[] = {{1, 0}, {1, 0}};  // of use and of change: the same size at another time
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  EXPECT_EQ((*touched)->CheckUnchanged().code(), absl::StatusCode::kUnavailable);
  std::remove(path.c_str());
}

TEST(MappedFileTest, TellsWhenItWasWritten) {
  const std::string path = WriteFile("dated", "one");
  const timespec times[] = {{9, 9}, {7, 5}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  EXPECT_EQ(MappedFile::Open(path).value()->modified(), 7'000'000'005);
  std::remove(path.c_str());
}

TEST(MappedFileTest, StandsWhereHugePagesCouldBe) {
  std::string content((3 << 20) + 5, 'a');
  content.back() = 'z';
  const std::string path = WriteFile("large", content);
  const auto file = MappedFile::Open(path, MappedFile::Pages::kHuge).value();
  std::remove(path.c_str());
  const absl::Span<const uint8_t> bytes = file->bytes();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % AlignedBuffer::kHugePageBytes, 0u);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), content.begin(), content.end()));
}

TEST(MappedFileTest, HasNoHugePagesOfASmallFile) {
  const std::string path = WriteFile("small", "text");
  const auto file = MappedFile::Open(path, MappedFile::Pages::kHuge).value();
  std::remove(path.c_str());
  EXPECT_EQ(file->bytes()[0], 't');
  EXPECT_FALSE(file->HasHugePages());
}

TEST(MappedFileTest, SaysThatAFileIsMissing) {
  const auto file = MappedFile::Open(TempPath("missing"));
  EXPECT_EQ(file.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(file.status().message().find("missing"), std::string::npos);
}

TEST(MappedFileTest, RefusesADirectoryAnEmptyFileAndAPipe) {
  EXPECT_EQ(MappedFile::Open(::testing::TempDir()).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MappedFile::Open(WriteFile("empty", "")).status().code(),
            absl::StatusCode::kInvalidArgument);
  const std::string pipe = TempPath("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::Open(pipe).status().code(), absl::StatusCode::kInvalidArgument)
      << "and must not wait for a writer";
  std::remove(pipe.c_str());
}

TEST(MappedFileTest, SaysThatAFileMayNotBeRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const std::string path = WriteFile("secret", "x");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  EXPECT_EQ(MappedFile::Open(path).status().code(), absl::StatusCode::kPermissionDenied);
  std::remove(path.c_str());
}

}  // namespace
}  // namespace nearfar
