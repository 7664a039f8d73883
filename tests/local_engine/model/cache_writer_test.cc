// The packed cache from one start of a model to the next.

#include "local_engine/model/cache_writer.h"

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
using ::testing::AnyOf;
using ::testing::HasSubstr;

class CacheWriterTest : public ::testing::Test {
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

  static std::string StateAfterWriting(const CacheWriter& writer) {
    while (writer.state() == "writing") std::this_thread::yield();
    return writer.state();
  }

  const testing::TempDir folder_;
};

TEST_F(CacheWriterTest, TheSecondStartReadsWhatTheFirstWrote) {
  const std::string path = WriteModel();
  const auto first = LoadModel(path).value();
  EXPECT_EQ(first->packed_cache, "writing");
  { const CacheWriter writer(first); }
  EXPECT_TRUE(fs::exists(path + ".packed")) << "a writer that is gone has written";

  const auto second = LoadModel(path).value();
  EXPECT_THAT(second->packed_cache, AnyOf("mapped", "read"));
  EXPECT_EQ(second->cache_to_write, nullptr);
  EXPECT_TRUE(first->packed.memory.bytes == second->packed.memory.bytes);
  EXPECT_EQ(CacheWriter(second).state(), second->packed_cache);
  const Matrix& down = second->packed.weights.layers[1].down;
  EXPECT_TRUE(down.packed);
  EXPECT_EQ(down.data - second->packed.memory.bytes.data(),
            first->packed.weights.layers[1].down.data - first->packed.memory.bytes.data());
}

TEST_F(CacheWriterTest, SaysWhenItIsDone) {
  const CacheWriter writer(LoadModel(WriteModel()).value());
  EXPECT_EQ(StateAfterWriting(writer), "written");
}

TEST_F(CacheWriterTest, SaysWhyThereIsNone) {
  const std::string path = WriteModel();
  fs::create_directory(path + ".packed.part");
  const CacheWriter writer(LoadModel(path).value());
  EXPECT_THAT(StateAfterWriting(writer), HasSubstr("cannot create"));
  EXPECT_FALSE(fs::exists(path + ".packed"));
}

TEST_F(CacheWriterTest, ADamagedCacheIsPackedAnewAndReplaced) {
  const std::string path = WriteModel();
  std::ofstream(path + ".packed") << "junk";
  { const CacheWriter writer(LoadModel(path).value()); }
  EXPECT_THAT(LoadModel(path).value()->packed_cache, AnyOf("mapped", "read"));
}

TEST_F(CacheWriterTest, IsLeftOutWhereNobodyWantsIt) {
  const std::string path = WriteModel();
  const auto model = LoadModel(path, {.packed_cache = false}).value();
  EXPECT_EQ(CacheWriter(model).state(), "off");
  EXPECT_FALSE(fs::exists(path + ".packed"));
}

TEST_F(CacheWriterTest, IsLeftOutWhereLittleIsPacked) {
  const std::string path = WriteModel(2);
  { const CacheWriter writer(LoadModel(path).value()); }
  EXPECT_FALSE(fs::exists(path + ".packed"));
}

}  // namespace
}  // namespace nearfar
