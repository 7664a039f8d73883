// Attention over prefills, batches of sessions and deep caches, against the formula in double.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "tests/local_engine/ops/ops_testing.h"

namespace nearfar {
namespace {

struct Scene {
  AttentionShape shape;
  std::vector<TestKv> caches;
  std::vector<float> queries, out;
  std::vector<AttentionItem> items;
  std::vector<int> cache_of_item;

  int64_t width() const { return shape.heads * shape.head_width; }
};

class AttentionOpTest : public OpsTest {
 protected:
  // One item for each length, of the cache of the same place; a cache may serve many items.
  Scene Make(AttentionShape shape, const std::vector<std::pair<int, int64_t>>& cache_and_length) {
    Scene scene;
    scene.shape = shape;
    int64_t positions = 0;
    int caches = 0;
    for (const auto& [cache, length] : cache_and_length) {
      positions = std::max(positions, length);
      caches = std::max(caches, cache + 1);
    }
    for (int i = 0; i < caches; ++i) {
      scene.caches.emplace_back(shape.kv_type, positions, shape.kv_heads, shape.head_width,
                                &random_);
    }
    const int64_t count = static_cast<int64_t>(cache_and_length.size());
    scene.queries = RandomFloats(count * scene.width(), 2.0f, &random_);
    scene.out.resize(scene.queries.size(), NAN);
    for (int64_t i = 0; i < count; ++i) {
      const auto& [cache, length] = cache_and_length[i];
      scene.items.push_back({&scene.queries[i * scene.width()],
                             {scene.caches[cache].parts(), 0},
                             length,
                             &scene.out[i * scene.width()]});
      scene.cache_of_item.push_back(cache);
    }
    return scene;
  }

  static void ExpectRight(const Scene& scene, size_t index) {
    const AttentionShape& shape = scene.shape;
    const AttentionItem& item = scene.items[index];
    const TestKv& cache = scene.caches[scene.cache_of_item[index]];
    for (int64_t head = 0; head < shape.heads; ++head) {
      const int64_t kv_head = head / (shape.heads / shape.kv_heads);
      const float* query = item.query + head * shape.head_width;
      std::vector<double> sums(shape.head_width);
      double total = 0;
      for (int64_t i = 0; i < item.length; ++i) {
        double score = 0;
        for (int64_t d = 0; d < shape.head_width; ++d) {
          score += query[d] * cache.key(i, d, kv_head);
        }
        const double weight = std::exp(score * shape.scale);
        total += weight;
        for (int64_t d = 0; d < shape.head_width; ++d) {
          sums[d] += weight * cache.value(i, d, kv_head);
        }
      }
      for (int64_t d = 0; d < shape.head_width; ++d) {
        ASSERT_NEAR(item.out[head * shape.head_width + d], sums[d] / total, 3e-5)
            << "item " << index << " head " << head;
      }
    }
  }
};

constexpr AttentionShape kShape = {.heads = 9, .kv_heads = 3, .head_width = 32, .scale = 0.18f};

TEST_P(AttentionOpTest, PrefillSeesEachTokensOwnPast) {
  std::vector<std::pair<int, int64_t>> items;
  for (int64_t length = 201; length <= 290; ++length) items.push_back({0, length});
  Scene scene = Make(kShape, items);
  Attention(context(), scene.shape, scene.items);
  for (size_t i = 0; i < items.size(); i += 11) ExpectRight(scene, i);
}

TEST_P(AttentionOpTest, DecodeAtDepthSplitsThePositions) {
  Scene scene = Make(kShape, {{0, 1100}});
  Attention(context(), scene.shape, scene.items);
  ExpectRight(scene, 0);
}

TEST_P(AttentionOpTest, SessionsOfDifferentLengthsKeepApart) {
  Scene scene = Make(kShape, {{0, 1}, {1, 300}, {1, 301}, {2, 64}, {0, 2}});
  Attention(context(), scene.shape, scene.items);
  for (size_t i = 0; i < scene.items.size(); ++i) ExpectRight(scene, i);
}

TEST_P(AttentionOpTest, OneHeadForAllAndOneForEach) {
  for (const int64_t kv_heads : {1, 4}) {
    const AttentionShape shape = {4, kv_heads, 16, 0.25f};
    Scene scene = Make(shape, {{0, 70}, {0, 71}});
    Attention(context(), scene.shape, scene.items);
    ExpectRight(scene, 0);
    ExpectRight(scene, 1);
  }
}

// Whole rows in a prefill, split positions in a decode: the bits must be the same.
TEST_P(AttentionOpTest, ATokenGetsTheSameBitsAloneAndInABatch) {
  std::vector<std::pair<int, int64_t>> items;
  for (int64_t length = 480; length <= 560; ++length) items.push_back({0, length});
  Scene scene = Make(kShape, items);
  Attention(context(), scene.shape, scene.items);
  const std::vector<float> together = scene.out;
  for (size_t i = 0; i < items.size(); i += 8) {
    std::fill_n(scene.items[i].out, scene.width(), NAN);
    Attention(context(), scene.shape, absl::MakeSpan(&scene.items[i], 1));
  }
  EXPECT_EQ(std::memcmp(together.data(), scene.out.data(), together.size() * sizeof(float)), 0);
}

// More parts than one round computes, for two sequences and beside a prefill.
TEST_P(AttentionOpTest, ADepthOfSeveralRoundsGivesTheSameBits) {
  const AttentionShape shape = {.heads = 3, .kv_heads = 1, .head_width = 16, .scale = 0.25f};
  std::vector<std::pair<int, int64_t>> items = {{0, 20000}, {1, 14000}};
  for (int64_t length = 1; length <= 50; ++length) items.push_back({2, length});
  Scene scene = Make(shape, items);
  Attention(context(), scene.shape, scene.items);
  for (const size_t i : {0, 1, 2, 51}) ExpectRight(scene, i);
  // Whole rows: where every item has a twin, none is alone.
  const std::vector<float> split = scene.out;
  std::vector<AttentionItem> twins;
  for (const AttentionItem& item : scene.items) twins.insert(twins.end(), 2, item);
  std::fill(scene.out.begin(), scene.out.end(), NAN);
  Attention(context(), scene.shape, twins);
  EXPECT_EQ(std::memcmp(split.data(), scene.out.data(), split.size() * sizeof(float)), 0);
}

// A table that notes where attention_part leaves its states.
absl::Mutex noted_mutex;
std::set<const float*>* noted = nullptr;
decltype(KvKernel::attention_part) noted_part = nullptr;

void NotingPart(const AttentionPartArgs& args) {
  {
    absl::MutexLock hold(&noted_mutex);
    noted->insert(args.states[0]);
  }
  noted_part(args);
}

// A short message behind a long prefix that is cached: one block and one KV head.
TEST_P(AttentionOpTest, FewTokensAtDepthAreWorkForAllThreads) {
  const AttentionShape shape = {.heads = 3, .kv_heads = 1, .head_width = 16, .scale = 0.25f};
  std::vector<std::pair<int, int64_t>> items;
  for (int64_t length = 3000; length < 3008; ++length) items.push_back({0, length});
  Scene scene = Make(shape, items);
  std::set<const float*> places;
  KernelTable noting = table();
  ASSERT_EQ(noting.kv[0].type, shape.kv_type);
  noted = &places;
  noted_part = std::exchange(noting.kv[0].attention_part, NotingPart);
  OpContext watched = context();
  watched.kernels = &noting;
  Attention(watched, scene.shape, scene.items);
  const size_t threads = watched.pool->size();
  if (threads > 1) {
    EXPECT_EQ(places.size(), 12u) << "each part is a job, with a place of its own";
  } else {
    EXPECT_LE(places.size(), 2u) << "its own, and the one that it folds into";
  }
  for (size_t i = 0; i < items.size(); ++i) ExpectRight(scene, i);
  const std::vector<float> together = scene.out;
  for (size_t i = 0; i < items.size(); ++i) {
    std::fill_n(scene.items[i].out, scene.width(), NAN);
    Attention(context(), scene.shape, absl::MakeSpan(&scene.items[i], 1));
  }
  EXPECT_EQ(std::memcmp(together.data(), scene.out.data(), together.size() * sizeof(float)), 0);
}

// The largest blocks that are split: one query head for each KV head, the least rows of a block.
TEST_P(AttentionOpTest, LeastBlocksAtDepthFitIntoTheMemory) {
  const AttentionShape shape = {.heads = 1, .kv_heads = 1, .head_width = 64, .scale = 0.125f};
  std::vector<std::pair<int, int64_t>> items;
  for (int64_t length = 2000; length < 2040; ++length) items.push_back({0, length});
  Scene scene = Make(shape, items);
  Workspace workspace = Workspace::Create(table(), context().pool->size(),
                                          {.width = 64, .items = 40, .attention = shape})
                            .value();
  OpContext tight = context();
  tight.workspace = &workspace;
  Attention(tight, scene.shape, scene.items);
  for (const size_t i : {0, 31, 32, 39}) ExpectRight(scene, i);
}

// In bytes with scales, as in F16: a prefill, each of its tokens alone, and a decode at depth.
TEST_P(AttentionOpTest, KeysAndValuesInBytes) {
  AttentionShape shape = kShape;
  shape.kv_type = DType::kQ8_0;
  std::vector<std::pair<int, int64_t>> items = {{1, 1100}};
  for (int64_t length = 230; length <= 290; ++length) items.push_back({0, length});
  Scene scene = Make(shape, items);
  Attention(context(), shape, scene.items);
  for (size_t i = 0; i < items.size(); i += 10) ExpectRight(scene, i);
  const std::vector<float> together = scene.out;
  for (size_t i = 0; i < items.size(); i += 5) {
    std::fill_n(scene.items[i].out, scene.width(), NAN);
    Attention(context(), shape, absl::MakeSpan(&scene.items[i], 1));
  }
  EXPECT_EQ(std::memcmp(together.data(), scene.out.data(), together.size() * sizeof(float)), 0);
}

TEST_P(AttentionOpTest, NoItemsNoWork) { Attention(context(), kShape, {}); }

INSTANTIATE_TEST_SUITE_P(EveryTable, AttentionOpTest, EveryTableAndThreads(), NameOf);

}  // namespace
}  // namespace nearfar
