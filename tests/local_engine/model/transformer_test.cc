// The forward pass against a naive one in double precision, and against itself: whole prompts,
// pieces of them, single tokens and several sequences at once must give the same logits.

#include "local_engine/model/transformer.h"

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <numeric>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/base/thread_pool.h"
#include "local_engine/kernels/dispatch.h"
#include "local_engine/model/model.h"
#include "local_engine/quant/formats.h"
#include "tests/testing/logit_stats.h"
#include "tests/testing/tiny_model.h"

namespace nearfar {

std::atomic<int64_t> allocations{0};  // of this program, by operator new

namespace {

using ::nearfar::testing::TinyModelOptions;

// ---- The naive pass: one sequence, no cache, f64 but for the inputs of products.

using Numbers = std::vector<double>;

class NaiveModel {
 public:
  explicit NaiveModel(const Model& model) : config_(model.config), weights_(model.weights) {}

  // Logits behind each of ids: [ids.size()][vocabulary].
  std::vector<Numbers> Logits(const std::vector<int32_t>& ids) const {
    std::vector<Numbers> x;
    for (const int32_t id : ids) x.push_back(Row(weights_.embedding, id));
    for (const LayerWeights& layer : weights_.layers) ComputeLayer(layer, x);
    std::vector<Numbers> logits;
    for (const Numbers& row : x) {
      logits.push_back(Times(weights_.output, Norm(row, weights_.output_norm), {}));
    }
    return logits;
  }

 private:
  static Numbers Row(const Matrix& matrix, int64_t row) {
    std::vector<float> decoded(matrix.cols);
    FindFormat(matrix.dtype)
        ->decode(matrix.data + row * matrix.stride, decoded.data(), matrix.cols);
    return Numbers(decoded.begin(), decoded.end());
  }

  static Numbers Times(const Matrix& matrix, const Numbers& x, const std::vector<float>& bias) {
    const QuantFormat& format = *FindFormat(matrix.dtype);
    const std::vector<float> input(x.begin(), x.end());
    Numbers out;
    for (int64_t row = 0; row < matrix.rows; ++row) {
      const double start = bias.empty() ? 0.0 : bias[row];
      out.push_back(start +
                    format.dot(matrix.data + row * matrix.stride, input.data(), matrix.cols));
    }
    return out;
  }

  Numbers Norm(const Numbers& x, const std::vector<float>& weight) const {
    const double squares = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
    const double scale = 1 / std::sqrt(squares / x.size() + config_.norm_epsilon);
    Numbers out;
    for (size_t i = 0; i < x.size(); ++i) out.push_back(x[i] * scale * weight[i]);
    return out;
  }

  void Rotate(Numbers& heads, int64_t position) const {
    const int half = config_.rope_width / 2;
    const bool neighbours = config_.architecture->rope_pairing == RopePairing::kInterleaved;
    for (size_t head = 0; head < heads.size(); head += config_.head_width) {
      for (int i = 0; i < half; ++i) {
        const double factor = weights_.rope_factors.empty() ? 1.0 : weights_.rope_factors[i];
        const double angle =
            position * std::pow(config_.rope_base, -2.0 * i / config_.rope_width) / factor;
        double& a = heads[head + (neighbours ? 2 * i : i)];
        double& b = heads[head + (neighbours ? 2 * i + 1 : i + half)];
        const double rotated = a * std::cos(angle) - b * std::sin(angle);
        b = a * std::sin(angle) + b * std::cos(angle);
        a = rotated;
      }
    }
  }

  // One query head over all positions up to its own.
  Numbers Attend(const double* query, const std::vector<Numbers>& keys,
                 const std::vector<Numbers>& values, size_t position, int offset) const {
    Numbers weight;
    for (size_t p = 0; p <= position; ++p) {
      const double score =
          std::inner_product(query, query + config_.head_width, keys[p].begin() + offset, 0.0);
      weight.push_back(std::exp(score / std::sqrt(config_.head_width)));
    }
    const double sum = std::accumulate(weight.begin(), weight.end(), 0.0);
    Numbers out(config_.head_width);
    for (size_t p = 0; p <= position; ++p) {
      for (int i = 0; i < config_.head_width; ++i) {
        out[i] += weight[p] / sum * values[p][offset + i];
      }
    }
    return out;
  }

  void ComputeLayer(const LayerWeights& layer, std::vector<Numbers>& x) const {
    std::vector<Numbers> queries, keys, values;
    for (size_t p = 0; p < x.size(); ++p) {
      const Numbers input = Norm(x[p], layer.attention_norm);
      queries.push_back(Times(layer.query, input, layer.query_bias));
      keys.push_back(Times(layer.key, input, layer.key_bias));
      values.push_back(Times(layer.value, input, layer.value_bias));
      Rotate(queries[p], static_cast<int64_t>(p));
      Rotate(keys[p], static_cast<int64_t>(p));
    }
    for (size_t p = 0; p < x.size(); ++p) {
      Numbers attended;
      for (int head = 0; head < config_.heads; ++head) {
        const int kv_head = head / (config_.heads / config_.kv_heads);
        const Numbers out = Attend(&queries[p][head * config_.head_width], keys, values, p,
                                   kv_head * config_.head_width);
        attended.insert(attended.end(), out.begin(), out.end());
      }
      Add(x[p], Times(layer.attention_output, attended, {}));
      const Numbers input = Norm(x[p], layer.ffn_norm);
      Numbers gate = Times(layer.gate, input, {});
      const Numbers up = Times(layer.up, input, {});
      for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
      Add(x[p], Times(layer.down, gate, {}));
    }
  }

  static void Add(Numbers& x, const Numbers& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  const ModelConfig& config_;
  const ModelWeights& weights_;
};

// ---- The subject.

constexpr int kContext = 512;
constexpr int kMaxRows = 300;

struct Subject {
  std::shared_ptr<const Model> model;
  std::unique_ptr<ThreadPool> pool = ThreadPool::Create(2).value();
  std::unique_ptr<Transformer> transformer;
  DType kv_type = DType::kF16;

  KvCache NewCache() const {
    KvCache cache(model->config, kv_type, kContext);
    EXPECT_TRUE(cache.Reserve(kContext).ok());
    return cache;
  }
};

Subject Load(const std::string& path, const char* kernels = "", DType kv_type = DType::kF16) {
  Subject subject;
  subject.kv_type = kv_type;
  subject.model = LoadModel(path).value();
  subject.transformer = Transformer::Create(subject.model->config, subject.model->packed.weights,
                                            *SelectKernels(kernels).value(), kv_type,
                                            subject.pool.get(), kContext, kMaxRows, kMaxRows)
                            .value();
  return subject;
}

Subject Load(const TinyModelOptions& options, const char* kernels = "",
             DType kv_type = DType::kF16) {
  return Load(testing::WriteTinyModel(options, "transformer.gguf"), kernels, kv_type);
}

std::vector<int32_t> SomeIds(int count, int step = 37) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back((11 + i * step) % 270);
  return ids;
}

// Feeds ids to the cache in one pass and returns the logits behind each.
std::vector<float> Feed(const Subject& subject, absl::Span<const int32_t> ids, KvCache& cache) {
  PassSlice slice = {.cache = &cache, .tokens = ids, .wanted_logits = static_cast<int>(ids.size())};
  PassObserver nobody;
  subject.transformer->Forward({&slice, 1}, nobody);
  return {slice.logits.begin(), slice.logits.end()};
}

// ---- Against the naive pass.

struct Variant {
  TinyModelOptions options;
  const char* kernels;
  double tolerance;  // of a logit whose deviation is about one
  DType kv_type = DType::kF16;
};

std::string VariantName(const Variant& variant) {
  return variant.options.architecture + FindFormat(variant.options.weights)->name +
         (variant.kernels[0] != '\0' ? variant.kernels : "best") +
         (variant.kv_type == DType::kF16 ? "" : "KeysInBytes");
}

void PrintTo(const Variant& variant, std::ostream* out) { *out << VariantName(variant); }

// The reference kernels keep f32 activations, so that only the cache rounds; the best ones of
// this CPU quantize activations to 8 bits.
std::vector<Variant> AllVariants() {
  std::vector<Variant> variants;
  for (const char* architecture : {"llama", "qwen2"}) {
    for (const QuantFormat& format : AllFormats()) {
      const TinyModelOptions options = {.architecture = architecture,
                                        .weights = format.dtype,
                                        .tied_embeddings = false,
                                        .context = kContext};
      variants.push_back({options, "reference", 4e-3});
      variants.push_back({options, "", 0.15});
      if (format.dtype != DType::kF32) continue;
      variants.push_back({options, "reference", 4e-2, DType::kQ8_0});
      variants.push_back({options, "", 4e-2, DType::kQ8_0});
    }
  }
  return variants;
}

class EveryVariant : public ::testing::TestWithParam<Variant> {};

TEST_P(EveryVariant, AgreesWithTheNaivePass) {
  const Subject subject = Load(GetParam().options, GetParam().kernels, GetParam().kv_type);
  const std::vector<int32_t> ids = SomeIds(12);
  KvCache cache = subject.NewCache();
  const std::vector<float> logits = Feed(subject, ids, cache);
  const std::vector<Numbers> expected = NaiveModel(*subject.model).Logits(ids);
  const size_t vocabulary = subject.model->weights.vocabulary();
  ASSERT_EQ(logits.size(), ids.size() * vocabulary);
  double worst = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    worst = std::max(worst, std::abs(logits[i] - expected[i / vocabulary][i % vocabulary]));
  }
  EXPECT_LT(worst, GetParam().tolerance);
}

// The bits of a token's logits do not depend on what is computed beside it.
TEST_P(EveryVariant, PiecesAndSingleTokensAgreeWithTheWhole) {
  const Subject subject = Load(GetParam().options, GetParam().kernels, GetParam().kv_type);
  const std::vector<int32_t> ids = SomeIds(12);
  KvCache whole = subject.NewCache();
  const std::vector<float> expected = Feed(subject, ids, whole);
  for (const size_t piece : {1, 7}) {
    KvCache cache = subject.NewCache();
    std::vector<float> logits;
    for (size_t first = 0; first < ids.size(); first += piece) {
      const size_t count = std::min(piece, ids.size() - first);
      const std::vector<float> part =
          Feed(subject, absl::MakeConstSpan(ids).subspan(first, count), cache);
      logits.insert(logits.end(), part.begin(), part.end());
    }
    EXPECT_EQ(cache.length(), 12);
    EXPECT_EQ(logits, expected) << "in pieces of " << piece;
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryVariant, ::testing::ValuesIn(AllVariants()),
                         [](const auto& info) { return VariantName(info.param); });

TEST(Transformer, RopeFactorsAreUsed) {
  testing::GgufWriter writer = testing::TinyModel({.tied_embeddings = false});
  writer.AddTensor("rope_freqs.weight", {8}, DType::kF32,
                   std::vector<float>{1, 1, 1, 1, 2, 4, 8, 8});
  const std::string path = testing::WriteTestFile("factors.gguf", writer.Finish());
  const Subject subject = Load(path, "reference");
  const std::vector<int32_t> ids = SomeIds(12);
  KvCache cache = subject.NewCache();
  const std::vector<float> logits = Feed(subject, ids, cache);
  const std::vector<Numbers> expected = NaiveModel(*subject.model).Logits(ids);
  for (size_t i = 0; i < expected[11].size(); ++i) {
    EXPECT_NEAR(logits[logits.size() - expected[11].size() + i], expected[11][i], 4e-3);
  }
}

// ---- Several sequences in one pass.

const TinyModelOptions kUntied = {.weights = DType::kQ8_0, .tied_embeddings = false};

TEST(Transformer, SequencesInOnePassDoNotTouchEachOther) {
  const Subject subject = Load(kUntied);
  const std::vector<int32_t> a = SomeIds(9, 37), b = SomeIds(5, 53);
  KvCache alone_a = subject.NewCache(), alone_b = subject.NewCache();
  const std::vector<float> expected_a = Feed(subject, a, alone_a);
  const std::vector<float> expected_b = Feed(subject, b, alone_b);

  KvCache cache_a = subject.NewCache(), cache_b = subject.NewCache();
  Feed(subject, absl::MakeConstSpan(b).first(4), cache_b);
  PassSlice slices[] = {
      {.cache = &cache_a, .tokens = a, .wanted_logits = 2},
      {.cache = &cache_b, .tokens = absl::MakeConstSpan(b).subspan(4), .wanted_logits = 1},
  };
  PassObserver nobody;
  subject.transformer->Forward(slices, nobody);
  const size_t vocabulary = subject.model->weights.vocabulary();
  EXPECT_THAT(slices[0].logits,
              ::testing::ElementsAreArray(expected_a.end() - 2 * vocabulary, expected_a.end()));
  EXPECT_THAT(slices[1].logits,
              ::testing::ElementsAreArray(expected_b.end() - vocabulary, expected_b.end()));
  EXPECT_EQ(cache_a.length(), 9);
  EXPECT_EQ(cache_b.length(), 5);
}

TEST(Transformer, StatisticsAreThoseOfTheLogitsAndOnlyWhereWanted) {
  const Subject subject = Load(kUntied);
  const std::vector<int32_t> a = SomeIds(9, 37), b = SomeIds(5, 53);
  KvCache cache_a = subject.NewCache(), cache_b = subject.NewCache();
  PassSlice slices[] = {
      {.cache = &cache_a, .tokens = a, .wanted_logits = 1},
      {.cache = &cache_b, .tokens = b, .wanted_logits = 2, .wants_stats = true},
  };
  PassObserver nobody;
  subject.transformer->Forward(slices, nobody);
  EXPECT_TRUE(slices[0].stats.empty());
  ASSERT_EQ(slices[1].stats.size(), 2u);
  const size_t vocabulary = subject.model->weights.vocabulary();
  for (size_t row = 0; row < 2; ++row) {
    const LogitStats& stats = slices[1].stats[row];
    const LogitStats expected =
        testing::StatsOf(slices[1].logits.subspan(row * vocabulary, vocabulary));
    EXPECT_TRUE(stats.finite);
    EXPECT_EQ(stats.best, expected.best);
    EXPECT_EQ(stats.second, expected.second);
    EXPECT_EQ(stats.log_sum_exp, expected.log_sum_exp);
    EXPECT_EQ(stats.entropy, expected.entropy);
    EXPECT_EQ(stats.margin, expected.margin);
  }
}

TEST(Transformer, APartOfAPromptGivesNoLogits) {
  const Subject subject = Load(kUntied);
  const std::vector<int32_t> ids = SomeIds(9);
  KvCache cache = subject.NewCache();
  PassSlice slice = {.cache = &cache, .tokens = ids};
  PassObserver nobody;
  subject.transformer->Forward({&slice, 1}, nobody);
  EXPECT_TRUE(slice.logits.empty());
  EXPECT_EQ(cache.length(), 9);
}

TEST(Transformer, ATruncatedCacheIsAsGoodAsNew) {
  const Subject subject = Load(kUntied);
  const std::vector<int32_t> ids = SomeIds(12);
  KvCache fresh = subject.NewCache(), used = subject.NewCache();
  const std::vector<float> expected = Feed(subject, ids, fresh);
  Feed(subject, absl::MakeConstSpan(ids).first(6), used);
  Feed(subject, SomeIds(9, 91), used);
  used.Truncate(6);
  const std::vector<float> rest = Feed(subject, absl::MakeConstSpan(ids).subspan(6), used);
  EXPECT_THAT(rest, ::testing::ElementsAreArray(expected.end() - rest.size(), expected.end()));
}

// In a cache that grows between the passes, and that goes back to before a part and on again.
TEST(Transformer, LongPromptsCrossAttentionParts) {
  for (const DType type : {DType::kF16, DType::kQ8_0}) {
    const Subject subject = Load(kUntied, "", type);
    const std::vector<int32_t> ids = SomeIds(300);
    KvCache whole = subject.NewCache();
    KvCache pieces(subject.model->config, type, kContext);
    const std::vector<float> expected = Feed(subject, ids, whole);
    const auto feed_from = [&](size_t first) {
      std::vector<float> last;
      for (; first < ids.size(); first += 50) {
        EXPECT_TRUE(pieces.Reserve(static_cast<int>(first) + 50).ok());
        last = Feed(subject, absl::MakeConstSpan(ids).subspan(first, 50), pieces);
      }
      return last;
    };
    for (const int again : {0, 100}) {
      pieces.Truncate(again);
      const std::vector<float> last = feed_from(again);
      EXPECT_THAT(last, ::testing::ElementsAreArray(expected.end() - last.size(), expected.end()));
    }
  }
}

// ---- The observer.

class DroppingObserver : public PassObserver {
 public:
  DroppingObserver(int layer, std::vector<int> drop) : layer_(layer), drop_(std::move(drop)) {}
  void BeforeLayer(int layer, absl::Span<PassSlice> slices) override {
    if (layer == layer_) Drop(slices);
  }
  void AfterLayer(int) override { ++computed; }
  void BeforeLogits(absl::Span<PassSlice> slices) override {
    if (layer_ < 0) Drop(slices);
    before_logits = true;
  }

  int computed = 0;
  bool before_logits = false;

 private:
  void Drop(absl::Span<PassSlice> slices) {
    for (const int slice : drop_) slices[slice].dropped = true;
  }

  const int layer_;  // < 0: before the logits
  const std::vector<int> drop_;
};

TEST(Transformer, ADroppedSequenceLeavesTheOthersAlone) {
  const Subject subject = Load(kUntied);
  const std::vector<int32_t> a = SomeIds(4, 37), b = SomeIds(3, 53), c = SomeIds(5, 71);
  KvCache alone = subject.NewCache();
  const std::vector<float> expected = Feed(subject, c, alone);
  for (const int layer : {0, 1, -1}) {
    KvCache cache_a = subject.NewCache(), cache_b = subject.NewCache(),
            cache_c = subject.NewCache();
    PassSlice slices[] = {{.cache = &cache_a, .tokens = a, .wanted_logits = 1},
                          {.cache = &cache_b, .tokens = b, .wanted_logits = 1},
                          {.cache = &cache_c, .tokens = c, .wanted_logits = 5}};
    DroppingObserver observer(layer, {0, 1});
    subject.transformer->Forward(slices, observer);
    EXPECT_EQ(observer.computed, 2);
    EXPECT_EQ(cache_a.length(), 0);
    EXPECT_TRUE(slices[0].logits.empty());
    EXPECT_EQ(cache_b.length(), 0);
    EXPECT_EQ(cache_c.length(), 5);
    EXPECT_THAT(slices[2].logits, ::testing::ElementsAreArray(expected));
  }
}

TEST(Transformer, APassEndsWhenAllAreDropped) {
  const Subject subject = Load(kUntied);
  const std::vector<int32_t> a = SomeIds(4), b = SomeIds(3);
  KvCache cache_a = subject.NewCache(), cache_b = subject.NewCache();
  PassSlice slices[] = {{.cache = &cache_a, .tokens = a, .wanted_logits = 1},
                        {.cache = &cache_b, .tokens = b, .wanted_logits = 1}};
  DroppingObserver observer(1, {0, 1});
  subject.transformer->Forward(slices, observer);
  EXPECT_EQ(observer.computed, 1);
  EXPECT_FALSE(observer.before_logits);
  EXPECT_EQ(cache_a.length(), 0);
  EXPECT_EQ(cache_b.length(), 0);
}

// ---- Memory.

// What cannot run out in a pass cannot end the process in it: all has been allocated before.
TEST(Transformer, APassAllocatesNothing) {
  const Subject subject = Load(kUntied);
  const std::vector<int32_t> ids = SomeIds(300), next = SomeIds(1);
  KvCache cache = subject.NewCache();
  PassSlice prompt = {.cache = &cache, .tokens = ids, .wanted_logits = 1};
  PassSlice token = {.cache = &cache, .tokens = next, .wanted_logits = 1, .wants_stats = true};
  PassObserver nobody;
  const int64_t before = allocations;
  subject.transformer->Forward({&prompt, 1}, nobody);
  subject.transformer->Forward({&token, 1}, nobody);
  EXPECT_EQ(allocations, before);
}

}  // namespace
}  // namespace nearfar

// Not inlined: the compiler would see malloc's memory go to free and take it for a mistake.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++nearfar::allocations;
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
