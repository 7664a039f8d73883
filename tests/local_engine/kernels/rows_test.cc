// The row functions of every table that this CPU runs, against plain loops in double.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "local_engine/base/half.h"
#include "local_engine/kernels/tables.h"
#include "tests/local_engine/kernels/kernel_testing.h"

namespace nearfar {
namespace {

class RowsTest : public testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& table() const { return *GetParam(); }
  std::mt19937 random_{7};
};

constexpr int64_t kWidths[] = {1, 3, 8, 15, 31, 32, 33, 64, 100, 576};

TEST_P(RowsTest, QuantizeGivesTheBitsOfTheReference) {
  for (const int64_t width : kWidths) {
    for (const float bound : {1e-3f, 1.0f, 1e4f}) {
      const std::vector<float> x = RandomFloats(width, bound, &random_);
      const TestActivations mine = MakeActivations(table(), x, 1, width);
      const TestActivations reference = MakeActivations(kReferenceKernels, x, 1, width);
      ASSERT_EQ(mine.values, reference.values) << width;
      for (size_t i = 0; i < mine.blocks.size(); ++i) {
        EXPECT_EQ(mine.blocks[i].scale, reference.blocks[i].scale);
        EXPECT_EQ(mine.blocks[i].sum, reference.blocks[i].sum);
        EXPECT_EQ(mine.blocks[i].minus_sum, reference.blocks[i].minus_sum);
        EXPECT_EQ(mine.blocks[i].minus_sum_low, reference.blocks[i].minus_sum_low);
      }
    }
  }
}

TEST_P(RowsTest, QuantizeIsWithinHalfAStep) {
  const std::vector<float> x = RandomFloats(320, 5.0f, &random_);
  const TestActivations quantized = MakeActivations(table(), x, 1, 320);
  for (int64_t i = 0; i < 320; ++i) {
    const float scale = quantized.blocks[i / kActivationBlock].scale;
    EXPECT_NEAR(quantized.Dequantized(0, i), x[i], 0.501 * scale);
  }
}

TEST_P(RowsTest, QuantizeOfNothingIsZeroAndNoNumberIsTooSmall) {
  std::vector<float> x(96, 0.0f);
  x[40] = std::numeric_limits<float>::denorm_min();
  x[70] = 1e-30f;
  const TestActivations quantized = MakeActivations(table(), x, 1, 96);
  EXPECT_EQ(quantized.blocks[0].scale, 0.0f);
  EXPECT_EQ(quantized.blocks[1].scale, 0.0f);
  EXPECT_EQ(quantized.values[40], 0);
  EXPECT_EQ(quantized.values[70], 127);
  for (const ActivationBlock& block : quantized.blocks) EXPECT_TRUE(std::isfinite(block.sum));
}

// Wherever it stands in a block, and in a last block that is not whole.
TEST_P(RowsTest, QuantizeOfWhatIsNotFiniteIsNoNumber) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
    for (int64_t at = 0; at < 80; ++at) {
      std::vector<float> x = RandomFloats(80, 3.0f, &random_);
      x[at] = bad;
      const TestActivations quantized = MakeActivations(table(), x, 1, 80);
      for (int64_t block = 0; block < 3; ++block) {
        const ActivationBlock& got = quantized.blocks[block];
        for (const float number : {got.scale, got.sum}) {
          EXPECT_EQ(std::isnan(number), block == at / kActivationBlock) << bad << " at " << at;
        }
      }
    }
    const TestActivations all = MakeActivations(table(), std::vector<float>(64, bad), 1, 64);
    for (const ActivationBlock& block : all.blocks) EXPECT_TRUE(std::isnan(block.scale)) << bad;
  }
}

TEST_P(RowsTest, RmsNormAgreesAndMayWorkInPlace) {
  for (const int64_t width : kWidths) {
    const std::vector<float> x = RandomFloats(width, 4.0f, &random_);
    const std::vector<float> weight = RandomFloats(width, 2.0f, &random_);
    double squares = 0;
    for (const float v : x) squares += static_cast<double>(v) * v;
    const double scale = 1 / std::sqrt(squares / static_cast<double>(width) + 1e-5);
    std::vector<float> out(width);
    table().rms_norm(x.data(), weight.data(), 1e-5f, width, out.data());
    for (int64_t i = 0; i < width; ++i)
      ASSERT_NEAR(out[i], x[i] * scale * weight[i], 1e-5) << width;
    std::vector<float> in_place = x;
    table().rms_norm(in_place.data(), weight.data(), 1e-5f, width, in_place.data());
    EXPECT_EQ(in_place, out);
  }
}

TEST_P(RowsTest, SiluMulAgreesOverTheWholeRange) {
  std::vector<float> gate;
  for (float g = -120.0f; g <= 120.0f; g += 0.37f) gate.push_back(g);
  gate.insert(gate.end(), {0.0f, -0.0f, 1e-30f, -1e30f, 1e30f, -87.4f, -88.5f});
  const int64_t width = static_cast<int64_t>(gate.size());
  const std::vector<float> up = RandomFloats(width, 2.0f, &random_);
  std::vector<float> out(width);
  table().silu_mul(gate.data(), up.data(), width, out.data());
  for (int64_t i = 0; i < width; ++i) {
    const double silu = gate[i] / (1.0 + std::exp(-static_cast<double>(gate[i])));
    const double expected = silu * up[i];
    ASSERT_NEAR(out[i], expected, 4e-7 * std::fabs(expected) + 1e-30) << "gate " << gate[i];
  }
}

TEST_P(RowsTest, NormAndSiluPassOnWhatIsNoNumber) {
  for (const int64_t width : kWidths) {
    std::vector<float> x = RandomFloats(width, 4.0f, &random_), out(width);
    const std::vector<float> ones(width, 1.0f);
    x[width / 2] = std::numeric_limits<float>::quiet_NaN();
    table().rms_norm(x.data(), ones.data(), 1e-5f, width, out.data());
    for (const float y : out) EXPECT_TRUE(std::isnan(y)) << width;
    table().silu_mul(x.data(), ones.data(), width, out.data());
    EXPECT_TRUE(std::isnan(out[width / 2])) << width;
  }
}

TEST_P(RowsTest, AddAgrees) {
  for (const int64_t width : kWidths) {
    std::vector<float> x = RandomFloats(width, 4.0f, &random_);
    const std::vector<float> y = RandomFloats(width, 4.0f, &random_), before = x;
    table().add(x.data(), y.data(), width);
    for (int64_t i = 0; i < width; ++i) ASSERT_EQ(x[i], before[i] + y[i]);
  }
}

TEST_P(RowsTest, RopeRotatesBothKindsOfPairs) {
  struct Shape {
    int64_t heads, head_width, rope_width;
  };
  for (const Shape& shape :
       {Shape{3, 64, 64}, Shape{2, 80, 20}, Shape{1, 6, 6}, Shape{2, 128, 96}}) {
    for (const bool interleaved : {false, true}) {
      const std::vector<float> before = RandomFloats(shape.heads * shape.head_width, 2, &random_);
      std::vector<float> table_row(shape.rope_width);
      for (int64_t i = 0; i < shape.rope_width / 2; ++i) {
        table_row[2 * i] = std::cos(0.3f * static_cast<float>(i + 1));
        table_row[2 * i + 1] = std::sin(0.3f * static_cast<float>(i + 1));
      }
      std::vector<float> x = before;
      table().rope({x.data(), table_row.data(), shape.heads, shape.head_width, shape.rope_width,
                    interleaved});
      std::vector<float> expected = before;
      for (int64_t head = 0; head < shape.heads; ++head) {
        for (int64_t i = 0; i < shape.rope_width / 2; ++i) {
          const int64_t a = head * shape.head_width + (interleaved ? 2 * i : i);
          const int64_t b = interleaved ? a + 1 : a + shape.rope_width / 2;
          const double c = table_row[2 * i], s = table_row[2 * i + 1];
          expected[a] = static_cast<float>(before[a] * c - before[b] * s);
          expected[b] = static_cast<float>(before[a] * s + before[b] * c);
        }
      }
      for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], expected[i], 1e-6) << i;
    }
  }
}

TEST_P(RowsTest, StoreRoundsAsTheStandardSays) {
  std::vector<float> x = {0.0f,
                          -0.0f,
                          65504.0f,
                          65519.0f,
                          65520.0f,
                          -70000.0f,
                          1e-8f,
                          5.97e-8f,
                          2.98e-8f,
                          2.99e-8f,
                          6.1e-5f,
                          6.097e-5f,
                          1.0f,
                          1.00049f,
                          1.000488281f,
                          1.00146484375f,
                          2047.5f,
                          2048.5f,
                          std::numeric_limits<float>::infinity(),
                          -1e-20f};
  const std::vector<float> more = RandomFloats(1001, 100.0f, &random_);
  x.insert(x.end(), more.begin(), more.end());
  x.push_back(std::numeric_limits<float>::quiet_NaN());
  const std::vector<float> zeros(x.size());
  const int64_t width = static_cast<int64_t>(x.size());
  const TestKv as_key(DType::kF16, 1, 1, width, &random_),
      as_value(DType::kF16, 1, 1, width, &random_);
  const KvKernel& kernel = FindKvKernel(table(), DType::kF16);
  kernel.store(x.data(), zeros.data(), width, 0, as_key.parts()[0]);
  kernel.store(zeros.data(), x.data(), width, 0, as_value.parts()[0]);
  for (int64_t d = 0; d + 1 < width; ++d) {
    ASSERT_EQ(as_key.key(0, d), HalfToFloat(FloatToHalf(x[d]))) << x[d];
    ASSERT_EQ(as_value.value(0, d), HalfToFloat(FloatToHalf(x[d]))) << x[d];
  }
  EXPECT_TRUE(std::isnan(as_key.key(0, width - 1)));
  EXPECT_TRUE(std::isnan(as_value.value(0, width - 1)));
}

// Positions in one group, in another, and a last block that is short.
TEST_P(RowsTest, StoreInBytesStaysWithinHalfAStep) {
  const KvKernel& kernel = FindKvKernel(table(), DType::kQ8_0);
  for (const int64_t width : {64, 80, 20, 7}) {
    const TestKv kv(DType::kQ8_0, 256, 1, width, &random_);
    for (const int position : {0, 5, 16, 255}) {
      const std::vector<float> key = RandomFloats(width, 8.0f, &random_);
      const std::vector<float> value = RandomFloats(width, 0.01f, &random_);
      kernel.store(key.data(), value.data(), width, position, kv.parts()[0]);
      for (int64_t d = 0; d < width; ++d) {
        ASSERT_NEAR(kv.key(position, d), key[d], 8.0f * 0.51f / 127) << width << " " << d;
        ASSERT_NEAR(kv.value(position, d), value[d], 0.01f * 0.51f / 127) << width << " " << d;
      }
    }
  }
}

TEST_P(RowsTest, StoreInBytesTouchesItsOwnPositionAlone) {
  const KvKernel& kernel = FindKvKernel(table(), DType::kQ8_0);
  const int64_t width = 40;
  const TestKv kv(DType::kQ8_0, 256, 1, width, &random_);
  const std::vector<uint8_t> before(kv.parts()[0],
                                    kv.parts()[0] + KvPartBytes(DType::kQ8_0, width));
  const std::vector<float> zeros(width);
  kernel.store(zeros.data(), zeros.data(), width, 17, kv.parts()[0]);
  int64_t changed = 0;
  for (size_t i = 0; i < before.size(); ++i) changed += kv.parts()[0][i] != before[i] ? 1 : 0;
  EXPECT_LE(changed, 2 * (width + 2 * KvBlocks(width)));
  for (int64_t d = 0; d < width; ++d) {
    EXPECT_EQ(kv.key(17, d), 0.0f);
    EXPECT_EQ(kv.value(17, d), 0.0f);
  }
}

TEST_P(RowsTest, StoreInBytesOfWhatIsNoNumberGivesNone) {
  const KvKernel& kernel = FindKvKernel(table(), DType::kQ8_0);
  for (const float wrong : {NAN, INFINITY}) {
    const TestKv kv(DType::kQ8_0, 256, 1, 64, &random_);
    std::vector<float> x(64, 1.0f);
    x[40] = wrong;
    kernel.store(x.data(), x.data(), 64, 3, kv.parts()[0]);
    EXPECT_NEAR(kv.key(3, 31), 1.0f, 0.01f);
    EXPECT_TRUE(std::isnan(kv.key(3, 40)));
    EXPECT_TRUE(std::isnan(kv.value(3, 32)));
  }
}

INSTANTIATE_TEST_SUITE_P(EveryTable, RowsTest, testing::ValuesIn(TablesOfThisCpu()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace nearfar
