// Every product of every table that this CPU runs, against weights decoded by quant/formats.h and
// sums in double.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "local_engine/base/half.h"
#include "tests/local_engine/kernels/kernel_testing.h"

namespace nearfar {
namespace {

struct Weights {
  const QuantFormat* format;
  int64_t rows;
  int64_t cols;
  std::vector<uint8_t> bytes;
  std::vector<float> decoded;

  int64_t row_bytes() const { return format->RowBytes(cols); }
};

void Decode(Weights* weights) {
  weights->decoded.resize(weights->rows * weights->cols);
  for (int64_t row = 0; row < weights->rows; ++row) {
    weights->format->decode(weights->bytes.data() + row * weights->row_bytes(),
                            weights->decoded.data() + row * weights->cols, weights->cols);
  }
}

void SetHalves(Weights* weights, std::mt19937* random, float least, float most) {
  std::uniform_real_distribution<float> uniform(least, most);
  for (size_t block = 0; block < weights->bytes.size(); block += weights->format->block_bytes) {
    for (const int place : HalfPlaces(weights->format->dtype)) {
      const uint16_t half = FloatToHalf(uniform(*random));
      std::memcpy(weights->bytes.data() + block + place, &half, sizeof(half));
    }
  }
}

Weights RandomWeights(const QuantFormat& format, int64_t rows, int64_t cols, std::mt19937* random) {
  Weights weights{.format = &format, .rows = rows, .cols = cols, .bytes = {}, .decoded = {}};
  weights.bytes.resize(rows * weights.row_bytes());
  if (format.block_elements == 1) {
    const std::vector<float> floats = RandomFloats(rows * cols, 2.0f, random);
    for (int64_t row = 0; row < rows; ++row) {
      format.encode(floats.data() + row * cols, weights.bytes.data() + row * weights.row_bytes(),
                    cols);
    }
  } else {
    std::uniform_int_distribution<int> byte(0, 255);
    for (uint8_t& b : weights.bytes) b = static_cast<uint8_t>(byte(*random));
    SetHalves(&weights, random, -0.1f, 0.1f);
  }
  Decode(&weights);
  return weights;
}

constexpr float kUntouched = -12345.0f;

// Runs tokens [first, first + count); out is [count, rows + gap], and the gap must stay untouched.
std::vector<float> Multiply(const KernelTable& table, const Weights& weights,
                            const TestActivations& x, int64_t first, int64_t count,
                            const float* bias) {
  const FormatKernel* kernel = FindFormatKernel(table, weights.format->dtype);
  const int64_t stride = weights.rows + 3;
  std::vector<float> out(count * stride, kUntouched);
  AlignedBuffer scratch(table.matmul_scratch_bytes(weights.cols) + 1);
  const TestWeights packed = Pack(*weights.format, weights.bytes, weights.rows, weights.cols);
  kernel->matmul({.weights = packed.bytes.data(),
                  .weight_stride = packed.stride,
                  .rows = weights.rows,
                  .cols = weights.cols,
                  .x = x.view(first, count),
                  .bias = bias,
                  .out = out.data(),
                  .out_stride = stride,
                  .scratch = scratch.data()});
  std::vector<float> dense;
  for (int64_t t = 0; t < count; ++t) {
    for (int64_t i = 0; i < stride; ++i) {
      if (i < weights.rows)
        dense.push_back(out[t * stride + i]);
      else
        EXPECT_EQ(out[t * stride + i], kUntouched) << "token " << t << " wrote beyond its row";
    }
  }
  return dense;
}

struct Expected {
  double sum;
  double magnitude;  // sum of the terms' magnitudes: what a rounding error is relative to
};

Expected Product(const KernelTable& table, const Weights& weights, const TestActivations& x,
                 int64_t row, int64_t token) {
  const bool quantized =
      FindFormatKernel(table, weights.format->dtype)->form == ActivationForm::kQuantized;
  Expected expected = {0, 0};
  for (int64_t i = 0; i < weights.cols; ++i) {
    const double value = quantized ? x.Dequantized(token, i) : x.floats[token * x.width + i];
    const double term = static_cast<double>(weights.decoded[row * weights.cols + i]) * value;
    expected.sum += term;
    expected.magnitude += std::fabs(term);
  }
  return expected;
}

class MatMulTest
    : public testing::TestWithParam<std::tuple<const KernelTable*, const QuantFormat*>> {
 protected:
  const KernelTable& table() const { return *std::get<0>(GetParam()); }
  const QuantFormat& format() const { return *std::get<1>(GetParam()); }
  std::mt19937 random_{20260101};
};

TEST_P(MatMulTest, AgreesWithDecodedWeightsOnOddShapes) {
  const int64_t unit = format().block_elements;
  const std::vector<int64_t> widths =
      unit == 1 ? std::vector<int64_t>{1, 7, 33, 100} : std::vector<int64_t>{unit, 3 * unit};
  for (const int64_t cols : widths) {
    for (const int64_t rows : {1, 3, 4, 8, 13, 16, 17, 40}) {
      const Weights weights = RandomWeights(format(), rows, cols, &random_);
      const std::vector<float> bias = RandomFloats(rows, 1.0f, &random_);
      for (const int64_t tokens : {1, 2, 3, 4, 5, 8, 9, 11}) {
        const TestActivations x =
            MakeActivations(table(), RandomFloats(tokens * cols, 3.0f, &random_), tokens, cols);
        const std::vector<float> out = Multiply(table(), weights, x, 0, tokens, bias.data());
        for (int64_t t = 0; t < tokens; ++t) {
          for (int64_t r = 0; r < rows; ++r) {
            const Expected expected = Product(table(), weights, x, r, t);
            ASSERT_NEAR(out[t * rows + r], expected.sum + bias[r], 1e-5 * expected.magnitude + 1e-6)
                << rows << " x " << cols << ", " << tokens << " tokens, row " << r << " token "
                << t;
          }
        }
      }
    }
  }
}

// A session's answer must not depend on who else is being served. together: [tokens, rows] of all.
void ExpectTheSameBits(const KernelTable& table, const Weights& weights, const TestActivations& x,
                       int64_t tokens, int64_t group, const std::vector<float>& together) {
  for (int64_t first = 0; first + group <= tokens; ++first) {
    const std::vector<float> some = Multiply(table, weights, x, first, group, nullptr);
    ASSERT_EQ(std::memcmp(some.data(), together.data() + first * weights.rows,
                          some.size() * sizeof(float)),
              0)
        << "tokens " << first << " to " << first + group;
  }
}

TEST_P(MatMulTest, ATokenGetsTheSameBitsAloneAndInABatch) {
  const int64_t rows = 21, tokens = 19, cols = format().block_elements == 1 ? 70 : 768;
  const Weights weights = RandomWeights(format(), rows, cols, &random_);
  const TestActivations x =
      MakeActivations(table(), RandomFloats(tokens * cols, 3.0f, &random_), tokens, cols);
  const std::vector<float> together = Multiply(table(), weights, x, 0, tokens, nullptr);
  for (const int64_t group : {1, 2, 3, 4, 7, 8}) {
    ASSERT_NO_FATAL_FAILURE(ExpectTheSameBits(table(), weights, x, tokens, group, together));
  }
}

// A kernel may take only so many tokens at once (144: common/pair_panel-inl.h); where that ends,
// nothing is lost or done twice.
TEST_P(MatMulTest, ATokenGetsTheSameBitsInALongBatch) {
  const int64_t rows = 3, tokens = 2 * 144 + 5, cols = format().block_elements == 1 ? 10 : 256;
  const Weights weights = RandomWeights(format(), rows, cols, &random_);
  const TestActivations x =
      MakeActivations(table(), RandomFloats(tokens * cols, 3.0f, &random_), tokens, cols);
  const std::vector<float> together = Multiply(table(), weights, x, 0, tokens, nullptr);
  ExpectTheSameBits(table(), weights, x, tokens, 1, together);
}

TEST_P(MatMulTest, ARowGetsTheSameBitsWhereverAChunkBegins) {
  const int64_t rows = 24, cols = format().block_elements == 1 ? 70 : 256;
  const Weights weights = RandomWeights(format(), rows, cols, &random_);
  const TestActivations x = MakeActivations(table(), RandomFloats(cols, 3.0f, &random_), 1, cols);
  const std::vector<float> all = Multiply(table(), weights, x, 0, 1, nullptr);
  for (int64_t first = 1; first < rows; ++first) {
    Weights rest = weights;
    rest.rows = rows - first;
    rest.bytes.erase(rest.bytes.begin(), rest.bytes.begin() + first * weights.row_bytes());
    const std::vector<float> some = Multiply(table(), rest, x, 0, 1, nullptr);
    ASSERT_EQ(std::memcmp(some.data(), all.data() + first, some.size() * sizeof(float)), 0)
        << "from row " << first;
  }
}

TEST_P(MatMulTest, ZeroActivationsGiveTheBias) {
  const int64_t rows = 9, cols = format().block_elements == 1 ? 40 : 512;
  const Weights weights = RandomWeights(format(), rows, cols, &random_);
  const std::vector<float> bias = RandomFloats(rows, 1.0f, &random_);
  const TestActivations x = MakeActivations(table(), std::vector<float>(5 * cols), 5, cols);
  const std::vector<float> out = Multiply(table(), weights, x, 0, 5, bias.data());
  for (int64_t i = 0; i < 5 * rows; ++i) ASSERT_EQ(out[i], bias[i % rows]);
}

// One such number is enough, and it stays with its token.
TEST_P(MatMulTest, AnActivationThatIsNotFiniteReachesEveryRow) {
  const int64_t rows = 9, cols = format().block_elements == 1 ? 40 : 512;
  const Weights weights = RandomWeights(format(), rows, cols, &random_);
  for (const float bad : {NAN, INFINITY}) {
    std::vector<float> floats = RandomFloats(3 * cols, 3.0f, &random_);
    floats[cols + cols / 2] = bad;  // of the second token
    const TestActivations x = MakeActivations(table(), floats, 3, cols);
    const std::vector<float> out = Multiply(table(), weights, x, 0, 3, nullptr);
    for (int64_t i = 0; i < 3 * rows; ++i) {
      EXPECT_EQ(std::isfinite(out[i]), i / rows != 1) << bad << " row " << i % rows;
    }
  }
}

TEST_P(MatMulTest, NoTokensNoWork) {
  const Weights weights = RandomWeights(format(), 5, format().block_elements, &random_);
  const TestActivations x = MakeActivations(table(), {}, 0, weights.cols);
  EXPECT_TRUE(Multiply(table(), weights, x, 0, 0, nullptr).empty());
}

// Scales of one and extreme bytes: all sums are integers that f32 holds, so that a saturated or
// lost product of any instruction shows as a wrong integer.
TEST_P(MatMulTest, ExtremesAreExactIntegers) {
  if (format().block_elements == 1) GTEST_SKIP() << "no integers in a float format";
  const uint8_t patterns[][2] = {{0xff, 0xff}, {0x00, 0x00}, {0x80, 0x80}, {0x7f, 0x7f},
                                 {0xff, 0x00}, {0x80, 0x7f}, {0x0f, 0xf0}, {0x55, 0xaa}};
  const std::vector<std::vector<float>> signals = {{127, 127},  {-127, -127}, {127, -127},
                                                   {-127, 127}, {127, 0},     {127, 1}};
  const int64_t cols = format().block_elements, rows = 11;
  int exact = 0;
  for (const auto& pattern : patterns) {
    Weights weights{.format = &format(), .rows = rows, .cols = cols, .bytes = {}, .decoded = {}};
    weights.bytes.resize(rows * weights.row_bytes());
    for (size_t i = 0; i < weights.bytes.size(); ++i) weights.bytes[i] = pattern[i % 2];
    SetHalves(&weights, &random_, 1.0f, 1.0f);
    Decode(&weights);
    for (const int64_t tokens : {1, 6}) {
      for (const std::vector<float>& signal : signals) {
        std::vector<float> floats(tokens * cols);
        for (size_t i = 0; i < floats.size(); ++i) floats[i] = signal[i % 2];
        const TestActivations x = MakeActivations(table(), floats, tokens, cols);
        const std::vector<float> out = Multiply(table(), weights, x, 0, tokens, nullptr);
        for (int64_t r = 0; r < rows; ++r) {
          const Expected expected = Product(table(), weights, x, r, 0);
          // Below this, scale * sum and offset * sum are whole numbers of at most 24 bits too.
          if (expected.magnitude > 1 << 20) {
            ASSERT_NEAR(out[r], expected.sum, 1e-6 * expected.magnitude);
            continue;
          }
          ASSERT_EQ(out[r], expected.sum) << "bytes " << int{pattern[0]} << ", " << int{pattern[1]}
                                          << " times " << signal[0] << ", " << signal[1];
          ++exact;
        }
      }
    }
  }
  EXPECT_GT(exact, 0);
}

std::vector<const QuantFormat*> Formats() {
  std::vector<const QuantFormat*> formats;
  for (const QuantFormat& format : AllFormats()) formats.push_back(&format);
  return formats;
}

INSTANTIATE_TEST_SUITE_P(EveryTableAndFormat, MatMulTest,
                         testing::Combine(testing::ValuesIn(TablesOfThisCpu()),
                                          testing::ValuesIn(Formats())),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)->name) + "_" +
                                  std::get<1>(info.param)->name;
                         });

}  // namespace
}  // namespace nearfar
