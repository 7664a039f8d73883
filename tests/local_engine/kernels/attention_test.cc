// The attention functions of every table that this CPU runs, against the formula in double.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "tests/local_engine/kernels/kernel_testing.h"

namespace nearfar {
namespace {

std::vector<double> Expect(const TestKv& cache, int64_t head_width, const float* query, int visible,
                           float scale) {
  std::vector<double> weights(visible), out(head_width);
  double largest = -1e300, sum = 0;
  for (int i = 0; i < visible; ++i) {
    double score = 0;
    for (int64_t d = 0; d < head_width; ++d) {
      score += static_cast<double>(query[d]) * cache.key(i, d);
    }
    weights[i] = score * scale;
    largest = std::max(largest, weights[i]);
  }
  for (double& weight : weights) sum += weight = std::exp(weight - largest);
  for (int i = 0; i < visible; ++i) {
    for (int64_t d = 0; d < head_width; ++d) {
      out[d] += weights[i] / sum * cache.value(i, d);
    }
  }
  return out;
}

class AttentionKernelTest : public testing::TestWithParam<std::tuple<const KernelTable*, DType>> {
 protected:
  const KernelTable& table() const { return *std::get<0>(GetParam()); }
  DType type() const { return std::get<1>(GetParam()); }

  // Attention of rows with these visible counts over all parts, as local_engine/ops/ does it.
  std::vector<float> Attend(const TestKv& cache, int64_t width, const std::vector<float>& queries,
                            const std::vector<int>& visible, float scale) const {
    const int64_t floats = table().attention_state_floats(width);
    const int most = *std::max_element(visible.begin(), visible.end());
    std::vector<float> total;
    for (int begin = 0; begin < most; begin += kAttentionPart) {
      const std::vector<float> part = RunPart(cache, width, queries, visible, scale, begin);
      if (begin == 0) total = part;
      for (size_t row = 0; begin > 0 && row < visible.size(); ++row) {
        table().attention_merge(total.data() + row * floats, part.data() + row * floats, width);
      }
    }
    std::vector<float> out(visible.size() * width);
    for (size_t row = 0; row < visible.size(); ++row) {
      table().attention_finish(total.data() + row * floats, width, out.data() + row * width);
    }
    return out;
  }

  std::mt19937 random_{11};

 private:
  std::vector<float> RunPart(const TestKv& cache, int64_t width, const std::vector<float>& queries,
                             const std::vector<int>& visible, float scale, int begin) const {
    const int64_t floats = table().attention_state_floats(width);
    std::vector<float> states(visible.size() * floats, 99.0f);
    std::vector<const float*> rows;
    std::vector<float*> places;
    std::vector<int32_t> seen;
    for (size_t row = 0; row < visible.size(); ++row) {
      rows.push_back(queries.data() + row * width);
      places.push_back(states.data() + row * floats);
      seen.push_back(std::clamp(visible[row] - begin, 0, kAttentionPart));
    }
    const int64_t count = static_cast<int64_t>(visible.size());
    AlignedBuffer scratch(table().attention_scratch_bytes(width, count));
    FindKvKernel(table(), type())
        .attention_part({.queries = rows.data(),
                         .visible = seen.data(),
                         .rows = static_cast<int>(count),
                         .kv = cache.parts()[begin / kAttentionPart],
                         .head_width = width,
                         .scale = scale,
                         .states = places.data(),
                         .scratch = scratch.data()});
    return states;
  }
};

TEST_P(AttentionKernelTest, AgreesForEveryLengthAndWidth) {
  for (const int64_t width : {64, 128, 96, 80, 48, 20, 7}) {
    const TestKv cache(type(), 600, 1, width, &random_);
    for (const std::vector<int>& visible :
         {std::vector<int>{1}, {2, 1}, {63, 64, 65}, {256, 257, 5, 600, 300}, {600, 599, 598}}) {
      const std::vector<float> queries =
          RandomFloats(static_cast<int64_t>(visible.size()) * width, 2.0f, &random_);
      const std::vector<float> out = Attend(cache, width, queries, visible, 0.3f);
      for (size_t row = 0; row < visible.size(); ++row) {
        const auto expected =
            Expect(cache, width, queries.data() + row * width, visible[row], 0.3f);
        for (int64_t d = 0; d < width; ++d) {
          ASSERT_NEAR(out[row * width + d], expected[d], 2e-5)
              << "width " << width << " row " << row << " of " << visible[row];
        }
      }
    }
  }
}

TEST_P(AttentionKernelTest, LargeScoresDoNotOverflow) {
  const TestKv cache(type(), 300, 1, 64, &random_);
  const std::vector<float> queries = RandomFloats(64, 500.0f, &random_);
  const std::vector<float> out = Attend(cache, 64, queries, {300}, 1.0f);
  const std::vector<double> expected = Expect(cache, 64, queries.data(), 300, 1.0f);
  for (int d = 0; d < 64; ++d) EXPECT_NEAR(out[d], expected[d], 1e-2) << d;
}

TEST_P(AttentionKernelTest, ARowGetsTheSameBitsAloneAndInABlock) {
  const int64_t width = 64;
  const TestKv cache(type(), 700, 1, width, &random_);
  const std::vector<int> visible = {5, 64, 130, 255, 256, 257, 400, 640, 641, 700, 1};
  const std::vector<float> queries =
      RandomFloats(static_cast<int64_t>(visible.size()) * width, 2.0f, &random_);
  const std::vector<float> together = Attend(cache, width, queries, visible, 0.125f);
  for (size_t row = 0; row < visible.size(); ++row) {
    const std::vector<float> one(queries.begin() + row * width,
                                 queries.begin() + (row + 1) * width);
    const std::vector<float> alone = Attend(cache, width, one, {visible[row]}, 0.125f);
    EXPECT_EQ(std::memcmp(alone.data(), together.data() + row * width, width * sizeof(float)), 0)
        << "row " << row;
  }
}

// Positions beyond a row's own are another token's, or not written yet.
TEST_P(AttentionKernelTest, UnseenPositionsDoNotReachARow) {
  const int64_t width = 32;
  const TestKv cache(type(), 130, 1, width, &random_);
  const std::vector<int> visible = {70, 66, 3, 130};
  const std::vector<float> queries =
      RandomFloats(static_cast<int64_t>(visible.size()) * width, 2.0f, &random_);
  const std::vector<float> before = Attend(cache, width, queries, visible, 0.2f);
  for (int64_t i = 70; i < 130; ++i) {
    cache.SpoilKey(i);
    cache.SpoilValue(i);
  }
  const std::vector<float> after = Attend(cache, width, queries, visible, 0.2f);
  EXPECT_EQ(std::memcmp(before.data(), after.data(), 3 * width * sizeof(float)), 0);
  EXPECT_TRUE(std::isnan(after[3 * width]));
}

TEST_P(AttentionKernelTest, AQueryOrAKeyThatIsNoNumberGivesNone) {
  const int64_t width = 32;
  for (const int visible : {1, 2, 70, 300, 600}) {
    const TestKv cache(type(), 600, 1, width, &random_);
    std::vector<float> queries = RandomFloats(2 * width, 2.0f, &random_);
    queries[5] = NAN;  // of the first of two rows
    std::vector<float> out = Attend(cache, width, queries, {visible, visible}, 0.2f);
    for (int64_t d = 0; d < 2 * width; ++d) {
      EXPECT_EQ(std::isnan(out[d]), d < width) << visible << " positions, " << d;
    }
    cache.SpoilKey(visible - 1);  // the second sees it too
    out = Attend(cache, width, queries, {visible, visible}, 0.2f);
    for (const float number : out) EXPECT_TRUE(std::isnan(number)) << visible << " positions";
  }
}

INSTANTIATE_TEST_SUITE_P(EveryTable, AttentionKernelTest,
                         testing::Combine(testing::ValuesIn(TablesOfThisCpu()),
                                          testing::Values(DType::kF16, DType::kQ8_0)),
                         [](const auto& info) {
                           const bool bytes = std::get<1>(info.param) == DType::kQ8_0;
                           return std::string(std::get<0>(info.param)->name) +
                                  (bytes ? "_q8_0" : "_f16");
                         });

}  // namespace
}  // namespace nearfar
