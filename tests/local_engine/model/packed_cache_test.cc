// The cache file of packed weights: it gives what was written, or a reason; and it is written whole
// or not at all.

#include "local_engine/model/packed_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/base/descriptor.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int64_t kHeaderBytes = 2 << 20;
const char kFingerprint[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

// More than a piece of reading and writing, and no whole number of anything.
std::vector<uint8_t> SomeWeights(size_t bytes = (9 << 20) + 77) {
  std::vector<uint8_t> weights(bytes);
  for (size_t i = 0; i < bytes; ++i) weights[i] = static_cast<uint8_t>(i * 31 + i / 251);
  return weights;
}

class PackedCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(model_path_) << "a model";
    ASSERT_EQ(chmod(model_path_.c_str(), 0644), 0);
  }

  // Of the model as it is now.
  PackedCache Cache(const std::string& fingerprint = kFingerprint) const {
    return PackedCache(*MappedFile::Open(model_path_).value(), fingerprint,
                       static_cast<int64_t>(weights_.size()));
  }
  absl::Status Write() const { return Cache().Write(weights_); }
  absl::StatusOr<PackedMemory> Read() const { return Cache().Read(); }
  absl::StatusCode ReadCode() const { return Read().status().code(); }

  void Flip(int64_t at) const {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(at);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(at);
    file.put(byte);
  }

  void ExpectReadable() const {
    const absl::StatusOr<PackedMemory> read = Read();
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(read->bytes == absl::MakeConstSpan(weights_));
    EXPECT_FALSE(fs::exists(part_));
  }

  const testing::TempDir folder_;
  const std::string model_path_ = folder_.File("model.gguf");
  const std::string path_ = model_path_ + ".packed";
  const std::string part_ = path_ + ".part";
  const std::vector<uint8_t> weights_ = SomeWeights();
};

TEST_F(PackedCacheTest, GivesWhatWasWritten) {
  EXPECT_EQ(Cache().path(), path_);
  EXPECT_EQ(ReadCode(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Write().ok()) << Write();
  ExpectReadable();
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0644u) << "as the model's";
  EXPECT_LT(info.st_blocks * 512, kHeaderBytes + static_cast<int64_t>(weights_.size()))
      << "what is between the header and the weights takes no room";
}

TEST_F(PackedCacheTest, ASecretModelHasASecretCache) {
  ASSERT_EQ(chmod(model_path_.c_str(), 0600), 0);
  ASSERT_TRUE(Write().ok());
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  ExpectReadable();
}

TEST_F(PackedCacheTest, WeightsAreAlignedForTheKernels) {
  ASSERT_TRUE(Write().ok());
  const PackedMemory memory = Read().value();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.bytes.data()) % AlignedBuffer::kAlignment, 0u);
}

TEST_F(PackedCacheTest, MovesToHugePages) {
  ASSERT_TRUE(Write().ok());
  const PackedMemory memory = Read().value();
  PackedCache::MoveToHugePages(memory, false);
  Flip(kHeaderBytes);
  EXPECT_TRUE(memory.bytes == absl::MakeConstSpan(weights_)) << "they are no longer the file's";
}

TEST_F(PackedCacheTest, IsOfOneModelInOneState) {
  ASSERT_TRUE(Write().ok());
  std::string other = kFingerprint;
  other.back() = '0';
  EXPECT_EQ(Cache(other).Read().status().code(), absl::StatusCode::kFailedPrecondition);

  const timespec times[] = {{1, 0}, {1, 1}};
  ASSERT_EQ(utimensat(AT_FDCWD, model_path_.c_str(), times, 0), 0);
  EXPECT_EQ(ReadCode(), absl::StatusCode::kFailedPrecondition) << "the model was written to";
  ASSERT_TRUE(Write().ok());
  ExpectReadable();
}

TEST_F(PackedCacheTest, NoByteOfTheHeaderIsIgnored) {
  ASSERT_TRUE(Write().ok());
  for (int64_t at = 0; at < 8 + 4 + 4 + 8 + 8 + 64 + 64; ++at) {
    Flip(at);
    ASSERT_FALSE(Read().ok()) << at;
    Flip(at);
  }
  ExpectReadable();
}

TEST_F(PackedCacheTest, DamagedWeightsAreNotUsed) {
  ASSERT_TRUE(Write().ok());
  const auto last = static_cast<int64_t>(fs::file_size(path_)) - 1;
  for (const int64_t at : {kHeaderBytes, last}) {
    Flip(at);
    EXPECT_EQ(ReadCode(), absl::StatusCode::kDataLoss) << at;
    EXPECT_THAT(Read().status().message(), HasSubstr(path_));
    Flip(at);
  }
  ExpectReadable();
}

TEST_F(PackedCacheTest, AnotherLengthIsNotUsed) {
  ASSERT_TRUE(Write().ok());
  const auto size = fs::file_size(path_);
  for (const auto other : {size - 1, size + 1, uintmax_t{kHeaderBytes}, uintmax_t{10}}) {
    fs::resize_file(path_, other);
    EXPECT_EQ(ReadCode(), absl::StatusCode::kFailedPrecondition) << other;
  }
  ASSERT_TRUE(Write().ok()) << "and is replaced";
  ExpectReadable();
}

TEST_F(PackedCacheTest, NotAFileIsNotUsed) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0644), 0);
  EXPECT_EQ(ReadCode(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(Write().ok());
  ExpectReadable();
  fs::remove(path_);
  fs::create_directory(path_);
  EXPECT_EQ(ReadCode(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Write().message(), HasSubstr("cannot rename"));
  EXPECT_FALSE(fs::exists(part_));
}

TEST_F(PackedCacheTest, WhatOthersMayWriteIsNotUsed) {
  ASSERT_TRUE(Write().ok());
  ASSERT_EQ(chmod(path_.c_str(), 0664), 0);
  EXPECT_EQ(ReadCode(), absl::StatusCode::kPermissionDenied);
  ASSERT_EQ(chmod(model_path_.c_str(), 0664), 0);
  ExpectReadable();  // they may write the model itself
}

TEST_F(PackedCacheTest, OneThatIsThereStays) {
  ASSERT_TRUE(Write().ok());
  struct stat first, second;
  ASSERT_EQ(stat(path_.c_str(), &first), 0);
  ASSERT_TRUE(Write().ok());
  ASSERT_EQ(stat(path_.c_str(), &second), 0);
  EXPECT_EQ(first.st_ino, second.st_ino);
  ExpectReadable();
}

TEST_F(PackedCacheTest, WhatADeadWriterLeftIsWrittenAnew) {
  std::ofstream(part_) << std::string(20 << 20, 'x');
  ASSERT_TRUE(Write().ok()) << Write();
  ExpectReadable();
}

TEST_F(PackedCacheTest, ALiveWriterIsLeftAlone) {
  std::ofstream(part_) << "half";
  {
    const Descriptor other(open(part_.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(flock(other.get(), LOCK_EX), 0);
    EXPECT_EQ(Write().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(fs::file_size(part_), 4u);
  }
  EXPECT_TRUE(Write().ok());
  ExpectReadable();
}

TEST_F(PackedCacheTest, ManyWritersLeaveOneCache) {
  std::vector<absl::Status> statuses(6);
  std::vector<std::thread> writers;
  for (absl::Status& status : statuses) writers.emplace_back([&] { status = Write(); });
  for (std::thread& writer : writers) writer.join();
  for (const absl::Status& status : statuses) {
    EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kUnavailable) << status;
  }
  ExpectReadable();
}

TEST_F(PackedCacheTest, ALinkInThePlaceOfTheTemporaryFileIsNotFollowed) {
  const std::string precious = folder_.File("precious");
  std::ofstream(precious) << "text";
  fs::create_symlink(precious, part_);
  EXPECT_FALSE(Write().ok());
  fs::remove(part_);
  fs::create_hard_link(precious, part_);
  EXPECT_EQ(Write().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(fs::file_size(precious), 4u);
}

TEST_F(PackedCacheTest, WithoutRoomNothingIsLeft) {
  const PackedCache larger(*MappedFile::Open(model_path_).value(), kFingerprint, int64_t{1} << 60);
  const absl::Status status = larger.Write(weights_);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(status.message(), HasSubstr("are free"));
  EXPECT_FALSE(fs::exists(part_));
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(PackedCacheTest, ALimitOfFileSizesDoesNotEndTheProcess) {
  rlimit usual;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &usual), 0);
  const rlimit low = {1 << 20, usual.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  const absl::Status status = Write();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &usual), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(status.message(), HasSubstr("ulimit -f"));
  EXPECT_FALSE(fs::exists(part_));
}

TEST_F(PackedCacheTest, AFolderThatIsGoneIsAReason) {
  const PackedCache cache = Cache();
  fs::remove_all(folder_.path());
  EXPECT_THAT(cache.Write(weights_).message(), HasSubstr("cannot create"));
}

}  // namespace
}  // namespace nearfar
