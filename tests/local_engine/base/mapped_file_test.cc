// local_engine/base/mapped_file.h: a file's bytes, or the reason why not.

#include "local_engine/base/mapped_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

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

TEST(MappedFileTest, MovesToHugePagesWhileOthersRead) {
  std::string content((9 << 20) + 5, 'a');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 + i / 511);
  const std::string path = WriteFile("moving", content);
  const auto file = MappedFile::Open(path, MappedFile::Pages::kHuge).value();
  const auto same = [&] {
    return std::equal(file->bytes().begin(), file->bytes().end(), content.begin(), content.end(),
                      [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); });
  };
  std::atomic<bool> moved = false, always = true;
  std::thread reader([&] {
    while (!moved) always = same() && always;
  });
  const std::atomic<bool> stop = false;
  EXPECT_TRUE(file->MoveToHugePages(AlignedBuffer::kHugePageBytes, stop).ok());
  moved = true;
  reader.join();
  EXPECT_TRUE(always);
  // What was moved is no longer the file's.
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out).seekp(5 << 20).put('!');
  EXPECT_TRUE(same());
  std::remove(path.c_str());
}

TEST(MappedFileTest, AMoveThatIsStoppedOrFailsLeavesTheRestMapped) {
  const std::string path = WriteFile("stopped", std::string(5 << 20, 'a'));
  const auto file = MappedFile::Open(path, MappedFile::Pages::kHuge).value();
  EXPECT_TRUE(file->MoveToHugePages(0, true).ok());
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out).put('b');
  EXPECT_EQ(file->bytes()[0], 'b');
  std::filesystem::resize_file(path, 3 << 20);
  EXPECT_FALSE(file->MoveToHugePages(0, false).ok()) << "it was cut short";
  EXPECT_EQ(file->bytes()[(2 << 20) + 1], 'a');
  std::remove(path.c_str());
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
