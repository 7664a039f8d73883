// MatMul cuts rows of several products into chunks; each output must be there once and right.

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tests/local_engine/ops/ops_testing.h"

namespace nearfar {
namespace {

struct OwnedMatrix {
  Matrix matrix;
  TestWeights packed;
  std::vector<float> decoded;
};

OwnedMatrix MakeMatrix(DType dtype, int64_t rows, int64_t cols, std::mt19937* random) {
  const QuantFormat* format = FindFormat(dtype);
  OwnedMatrix owned;
  std::vector<uint8_t> bytes(rows * format->RowBytes(cols));
  owned.decoded.resize(rows * cols);
  const std::vector<float> floats = RandomFloats(rows * cols, 1.0f, random);
  format->encode(floats.data(), bytes.data(), rows * cols);
  format->decode(bytes.data(), owned.decoded.data(), rows * cols);
  owned.packed = Pack(*format, bytes, rows, cols);
  owned.matrix = {.dtype = dtype,
                  .rows = rows,
                  .cols = cols,
                  .data = owned.packed.bytes.data(),
                  .stride = owned.packed.stride,
                  .packed = FindPackedFormat(dtype) != nullptr};
  return owned;
}

using MatMulOpTest = OpsTest;

// Whole numbers with the largest in each block: 8 bits hold them exactly, so that a product is as
// good with quantized activations as with floats.
std::vector<float> WholeNumbers(int64_t n, std::mt19937* random) {
  std::uniform_int_distribution<int> uniform(-127, 127);
  std::vector<float> x(n);
  for (int64_t i = 0; i < n; ++i) {
    x[i] = i % kActivationBlock == 0 ? 127.0f : static_cast<float>(uniform(*random));
  }
  return x;
}

void ExpectProduct(const OwnedMatrix& weights, const std::vector<float>& x, const float* bias,
                   const float* out, int64_t stride) {
  const int64_t rows = weights.matrix.rows, cols = weights.matrix.cols;
  for (size_t t = 0; t < x.size() / cols; ++t) {
    for (int64_t r = 0; r < rows; ++r) {
      double sum = bias == nullptr ? 0.0 : bias[r], magnitude = 1;
      for (int64_t i = 0; i < cols; ++i) {
        const double term = static_cast<double>(weights.decoded[r * cols + i]) * x[t * cols + i];
        sum += term;
        magnitude += std::fabs(term);
      }
      ASSERT_NEAR(out[t * stride + r], sum, 1e-5 * magnitude) << "token " << t << " row " << r;
    }
  }
}

TEST_P(MatMulOpTest, ProductsOfOneInputEachGetTheirOwnRows) {
  const int64_t cols = 256;
  const OwnedMatrix q = MakeMatrix(DType::kQ4_K, 301, cols, &random_);
  const OwnedMatrix k = MakeMatrix(DType::kQ8_0, 40, cols, &random_);
  const OwnedMatrix v = MakeMatrix(DType::kF16, 7, cols, &random_);
  const std::vector<float> bias = RandomFloats(301, 1.0f, &random_);
  for (const int64_t tokens : {1, 2, 9}) {
    const std::vector<float> x = WholeNumbers(tokens * cols, &random_);
    Activations input = NewActivations();
    Quantize(context(), x.data(), tokens, cols, &input);
    const int64_t stride = 400;
    std::vector<float> out(tokens * stride, NAN);
    const Product products[] = {{&q.matrix, bias.data(), out.data(), stride},
                                {&k.matrix, nullptr, out.data() + 301, stride},
                                {&v.matrix, nullptr, out.data() + 341, stride}};
    MatMul(context(), input, products);
    ExpectProduct(q, x, bias.data(), out.data(), stride);
    ExpectProduct(k, x, nullptr, out.data() + 301, stride);
    ExpectProduct(v, x, nullptr, out.data() + 341, stride);
    for (int64_t t = 0; t < tokens; ++t) EXPECT_TRUE(std::isnan(out[t * stride + 348]));
  }
}

TEST_P(MatMulOpTest, ATokenGetsTheSameBitsAloneAndInABatch) {
  const int64_t cols = 512, rows = 203, tokens = 14;
  const OwnedMatrix weights = MakeMatrix(DType::kQ6_K, rows, cols, &random_);
  const std::vector<float> x = RandomFloats(tokens * cols, 2.0f, &random_);
  std::vector<float> together(tokens * rows), alone(rows);
  Activations input = NewActivations();
  Quantize(context(), x.data(), tokens, cols, &input);
  const Product all[] = {{&weights.matrix, nullptr, together.data(), rows}};
  MatMul(context(), input, all);
  for (int64_t t = 0; t < tokens; ++t) {
    Quantize(context(), x.data() + t * cols, 1, cols, &input);
    const Product one[] = {{&weights.matrix, nullptr, alone.data(), rows}};
    MatMul(context(), input, one);
    ASSERT_EQ(std::memcmp(alone.data(), together.data() + t * rows, rows * sizeof(float)), 0) << t;
  }
}

TEST_P(MatMulOpTest, BlocksAreWholeAndShownOnceTheyAreMade) {
  const int64_t cols = 256, block = 64;
  for (const int64_t rows : {1, 64, 5000}) {
    const OwnedMatrix weights = MakeMatrix(DType::kQ8_0, rows, cols, &random_);
    const std::vector<float> x = RandomFloats(2 * cols, 2.0f, &random_);
    std::vector<float> expected(2 * rows), out(2 * rows, NAN), shown(2 * rows, NAN);
    Activations input = NewActivations();
    Quantize(context(), x.data(), 2, cols, &input);
    const Product plain = {&weights.matrix, nullptr, expected.data(), rows};
    MatMul(context(), input, {&plain, 1});
    std::vector<std::atomic<int>> times(rows);
    MatMulInBlocks(context(), input, {&weights.matrix, nullptr, out.data(), rows}, block,
                   [&](int64_t begin, int64_t end) {
                     EXPECT_EQ(begin % block, 0);
                     EXPECT_TRUE(end == rows || end % block == 0);
                     for (int64_t i = begin; i < end; ++i) {
                       ++times[i];
                       for (const int64_t at : {i, rows + i}) shown[at] = out[at];
                     }
                   });
    EXPECT_EQ(out, expected);
    EXPECT_EQ(shown, expected);
    for (const auto& each : times) ASSERT_EQ(each, 1);
  }
}

TEST_P(MatMulOpTest, NothingToDoIsDone) {
  const OwnedMatrix weights = MakeMatrix(DType::kQ4_0, 8, 32, &random_);
  Activations input = NewActivations();
  input.Reshape(0, 32);
  float out = 5;
  const Product products[] = {{&weights.matrix, nullptr, &out, 8}};
  MatMul(context(), input, products);
  MatMul(context(), input, {});
  EXPECT_EQ(out, 5);
}

INSTANTIATE_TEST_SUITE_P(EveryTable, MatMulOpTest, EveryTableAndThreads(), NameOf);

}  // namespace
}  // namespace nearfar
