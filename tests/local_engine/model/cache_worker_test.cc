// The packed cache from one start of a model to the next.

#include "local_engine/model/cache_worker.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace nearfar {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class CacheWorkerTest : public ::testing::Test {
 protected:
  // Enough layers for a cache to be worth its while.
  std::string WriteModel(int layers = 40) const {
    const std::vector<uint8_t> bytes =
        testing::TinyModelBytes({.weights = DType::kQ8_0, .layers = layers});
    const std::string path = folder_.File("model.gguf");
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<int64_t>(bytes.size()));
    return path;
  }

  static std::string StateAfterWriting(const CacheWorker& worker) {
    while (worker.state() == "writing") std::this_thread::yield();
    return worker.state();
  }

  const testing::TempDir folder_;
};

TEST_F(CacheWorkerTest, TheSecondStartReadsWhatTheFirstWrote) {
  const std::string path = WriteModel();
  const auto first = LoadModel(path).value();
  EXPECT_EQ(first->packed_cache, "writing");
  { const CacheWorker worker(first); }
  EXPECT_TRUE(fs::exists(path + ".packed")) << "a worker that is gone has written";

  const auto second = LoadModel(path).value();
  EXPECT_EQ(second->packed_cache, "mapped");
  EXPECT_EQ(second->cache_to_write, nullptr);
  EXPECT_TRUE(first->packed.memory.bytes == second->packed.memory.bytes);
  EXPECT_EQ(CacheWorker(second).state(), "mapped");
  const Matrix& down = second->packed.weights.layers[1].down;
  EXPECT_TRUE(down.packed);
  EXPECT_EQ(down.data - second->packed.memory.bytes.data(),
            first->packed.weights.layers[1].down.data - first->packed.memory.bytes.data());
}

// The file is written to until that does not show any more.
TEST_F(CacheWorkerTest, WhatIsMappedIsMovedToHugePages) {
  if (!MappedFile::HugePagesCanBeHad()) GTEST_SKIP() << "this system gives no huge pages";
  const std::string path = WriteModel();
  { const CacheWorker worker(LoadModel(path).value()); }
  const auto model = LoadModel(path).value();
  ASSERT_EQ(model->packed_cache, "mapped");
  const volatile uint8_t& last = model->packed.memory.bytes.back();
  std::fstream file(path + ".packed", std::ios::in | std::ios::out | std::ios::binary);
  uint8_t written = last;
  const CacheWorker worker(model);
  do {
    file.seekp(-1, std::ios::end);
    file.put(static_cast<char>(++written)).flush();
    ASSERT_TRUE(file.good());
    std::this_thread::yield();
  } while (last == written);
}

TEST_F(CacheWorkerTest, SaysWhenItIsDone) {
  const CacheWorker worker(LoadModel(WriteModel()).value());
  EXPECT_EQ(StateAfterWriting(worker), "written");
  while (worker.busy()) std::this_thread::yield();
}

TEST_F(CacheWorkerTest, SaysWhyThereIsNone) {
  const std::string path = WriteModel();
  fs::create_directory(path + ".packed.part");
  const CacheWorker worker(LoadModel(path).value());
  EXPECT_THAT(StateAfterWriting(worker), HasSubstr("cannot create"));
  EXPECT_FALSE(fs::exists(path + ".packed"));
}

TEST_F(CacheWorkerTest, ADamagedCacheIsPackedAnewAndReplaced) {
  const std::string path = WriteModel();
  std::ofstream(path + ".packed") << "junk";
  { const CacheWorker worker(LoadModel(path).value()); }
  EXPECT_EQ(LoadModel(path).value()->packed_cache, "mapped");
}

TEST_F(CacheWorkerTest, IsLeftOutWhereNobodyWantsIt) {
  const std::string path = WriteModel();
  const auto model = LoadModel(path, {.packed_cache = false}).value();
  EXPECT_EQ(CacheWorker(model).state(), "off");
  EXPECT_FALSE(fs::exists(path + ".packed"));
}

TEST_F(CacheWorkerTest, IsLeftOutWhereLittleIsPacked) {
  const std::string path = WriteModel(2);
  { const CacheWorker worker(LoadModel(path).value()); }
  EXPECT_FALSE(fs::exists(path + ".packed"));
}

}  // namespace
}  // namespace nearfar
