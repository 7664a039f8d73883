// local_engine/quant/: every format of the list through the same checks, and blocks worked out by
// hand for each layout.

#include "local_engine/quant/formats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "local_engine/quant/blocks.h"

namespace nearfar {
namespace {

std::vector<float> Gaussian(int64_t n, uint32_t seed, float deviation = 0.05f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = normal(generator);
  return values;
}

std::vector<uint8_t> Encode(const QuantFormat& format, const std::vector<float>& values) {
  const int64_t n = static_cast<int64_t>(values.size());
  std::vector<uint8_t> bytes(static_cast<size_t>(format.RowBytes(n)));
  format.encode(values.data(), bytes.data(), n);
  return bytes;
}

std::vector<float> Decode(const QuantFormat& format, const std::vector<uint8_t>& bytes) {
  const size_t n = bytes.size() / static_cast<size_t>(format.block_bytes) *
                   static_cast<size_t>(format.block_elements);
  std::vector<float> values(n);
  format.decode(bytes.data(), values.data(), static_cast<int64_t>(n));
  return values;
}

double RelativeRmse(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0;
  double power = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (a[i] - b[i]) * static_cast<double>(a[i] - b[i]);
    power += a[i] * static_cast<double>(a[i]);
  }
  return std::sqrt(error / power);
}

const QuantFormat& Format(DType dtype) { return *FindFormat(dtype); }

class FormatTest : public ::testing::TestWithParam<QuantFormat> {};

// Largest relative error of gaussian weights that a format may have, a little above what its bits
// allow.
const std::map<std::string, double>& ErrorBounds() {
  static const std::map<std::string, double> bounds = {
      {"F32", 0},      {"F16", 3e-4},   {"BF16", 2.5e-3}, {"Q4_0", 0.095},
      {"Q4_1", 0.085}, {"Q5_0", 0.048}, {"Q5_1", 0.041},  {"Q8_0", 6.5e-3},
      {"Q4_K", 0.075}, {"Q5_K", 0.038}, {"Q6_K", 0.019},
  };
  return bounds;
}

TEST_P(FormatTest, GaussianWeightsComeBackWithinTheFormatsError) {
  const std::vector<float> values = Gaussian(4096, 1);
  const double error = RelativeRmse(values, Decode(GetParam(), Encode(GetParam(), values)));
  ASSERT_TRUE(ErrorBounds().contains(GetParam().name)) << "a new format needs its bound here";
  EXPECT_LE(error, ErrorBounds().at(GetParam().name));
}

// Scaling by a power of two only moves exponents: the relative error stays.
TEST_P(FormatTest, ErrorDoesNotDependOnTheScale) {
  const std::vector<float> values = Gaussian(1024, 2, 1.0f);
  std::vector<float> large = values;
  for (float& value : large) value *= 64;
  const double error = RelativeRmse(values, Decode(GetParam(), Encode(GetParam(), values)));
  const double large_error = RelativeRmse(large, Decode(GetParam(), Encode(GetParam(), large)));
  EXPECT_NEAR(error, large_error, 0.02 * error);
}

TEST_P(FormatTest, SpecialRowsSurvive) {
  const int n = GetParam().block_elements * 2;
  const auto check = [&](const std::vector<float>& values, double bound, const char* what) {
    const std::vector<float> back = Decode(GetParam(), Encode(GetParam(), values));
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(back[i], values[i], bound) << what << " at " << i;
    }
  };
  const size_t size = static_cast<size_t>(n);
  check(std::vector<float>(size, 0.0f), 0, "zeros");
  check(std::vector<float>(size, 1.0f), 0.01, "ones");
  check(std::vector<float>(size, -1.0f), 0.01, "minus ones");
  std::vector<float> outlier(size, 0.0f);
  outlier[5 % size] = -3.0f;
  check(outlier, 0.03, "one outlier");
}

// An encoded row is a fixed point: encoding what it decodes to changes nothing that matters.
TEST_P(FormatTest, EncodingADecodedRowCostsAlmostNothing) {
  const std::vector<float> once = Decode(GetParam(), Encode(GetParam(), Gaussian(2048, 3)));
  const double error = RelativeRmse(once, Decode(GetParam(), Encode(GetParam(), once)));
  EXPECT_LE(error, 0.35 * ErrorBounds().at(GetParam().name) + 1e-7);
}

TEST_P(FormatTest, DotIsDecodeThenDot) {
  const std::vector<uint8_t> weights = Encode(GetParam(), Gaussian(1024, 4));
  const std::vector<float> decoded = Decode(GetParam(), weights);
  const std::vector<float> x = Gaussian(1024, 5, 1.0f);
  double expected = 0;
  for (size_t i = 0; i < x.size(); ++i) expected += static_cast<double>(decoded[i]) * x[i];
  EXPECT_DOUBLE_EQ(GetParam().dot(weights.data(), x.data(), 1024), expected);
}

// A file may hold anything: no pattern of bytes is undefined (run under UBSan).
TEST_P(FormatTest, AnyBytesDecode) {
  std::mt19937 generator(6);
  std::vector<uint8_t> bytes(static_cast<size_t>(GetParam().block_bytes) * 50);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(generator());
  EXPECT_EQ(Decode(GetParam(), bytes).size(), 50u * static_cast<size_t>(GetParam().block_elements));
}

// Encoders meet infinities and NaNs only in a damaged source; they must still write some block.
TEST_P(FormatTest, NonFiniteWeightsDoNotBreakTheEncoder) {
  const float huge = std::numeric_limits<float>::infinity();
  for (const float bad : {huge, -huge, std::numeric_limits<float>::quiet_NaN(), 3e38f, -3e38f}) {
    std::vector<float> values = Gaussian(GetParam().block_elements, 7);
    values[0] = bad;
    EXPECT_EQ(Encode(GetParam(), values).size(), static_cast<size_t>(GetParam().block_bytes));
  }
}

INSTANTIATE_TEST_SUITE_P(All, FormatTest, ::testing::ValuesIn(AllFormats()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(FormatListTest, NamesAndTypesAreUniqueAndFound) {
  std::set<std::string> names;
  std::set<DType> types;
  for (const QuantFormat& format : AllFormats()) {
    EXPECT_TRUE(names.insert(format.name).second) << format.name;
    EXPECT_TRUE(types.insert(format.dtype).second) << format.name;
    EXPECT_STREQ(Format(format.dtype).name, format.name);
  }
  EXPECT_EQ(names.size(), 11u);
  EXPECT_EQ(FindFormat(static_cast<DType>(10)), nullptr);
  EXPECT_EQ(FindFormat(static_cast<DType>(0xffffffffu)), nullptr);
}

TEST(FormatListTest, RowBytesCountsBlocks) {
  EXPECT_EQ(Format(DType::kF32).RowBytes(10), 40);
  EXPECT_EQ(Format(DType::kQ4_1).RowBytes(576), 360);
  EXPECT_EQ(Format(DType::kQ6_K).RowBytes(1536), 1260);
}

// --- Blocks worked out by hand. 0x3c00 is 1.0, 0x3800 is 0.5, 0x4000 is 2.0 as F16.

constexpr Half kOne = {{0x00, 0x3c}};
constexpr Half kHalf = {{0x00, 0x38}};
constexpr Half kTwo = {{0x00, 0x40}};

template <typename Block>
std::vector<float> DecodeOne(DType dtype, const Block& block) {
  std::vector<uint8_t> bytes(sizeof(Block));
  std::memcpy(bytes.data(), &block, sizeof(Block));
  return Decode(Format(dtype), bytes);
}

TEST(HandBlockTest, Q4_0) {
  BlockQ4_0 block = {.d = kTwo, .quants = {}};
  block.quants[0] = 0xf0;   // weight 0: 0, weight 16: 15
  block.quants[15] = 0x3a;  // weight 15: 10, weight 31: 3
  const std::vector<float> w = DecodeOne(DType::kQ4_0, block);
  EXPECT_EQ(w[0], -16);
  EXPECT_EQ(w[16], 14);
  EXPECT_EQ(w[15], 4);
  EXPECT_EQ(w[31], -10);
  EXPECT_EQ(w[1], -16);
}

TEST(HandBlockTest, Q4_1) {
  BlockQ4_1 block = {.d = kHalf, .m = kTwo, .quants = {}};
  block.quants[3] = 0x72;
  const std::vector<float> w = DecodeOne(DType::kQ4_1, block);
  EXPECT_EQ(w[3], 3);
  EXPECT_EQ(w[19], 5.5f);
  EXPECT_EQ(w[0], 2);
}

TEST(HandBlockTest, Q5_0) {
  BlockQ5_0 block = {.d = kHalf, .high_bits = {}, .quants = {}};
  block.quants[2] = 0x21;
  block.high_bits[0] = 1 << 2;  // weight 2
  block.high_bits[2] = 1 << 3;  // weight 19
  const std::vector<float> w = DecodeOne(DType::kQ5_0, block);
  EXPECT_EQ(w[2], (1 + 16 - 16) * 0.5f);
  EXPECT_EQ(w[18], (2 - 16) * 0.5f);
  EXPECT_EQ(w[19], (16 - 16) * 0.5f);
  EXPECT_EQ(w[31], -8);
}

TEST(HandBlockTest, Q5_1) {
  BlockQ5_1 block = {.d = kOne, .m = kHalf, .high_bits = {}, .quants = {}};
  block.quants[15] = 0xf0;
  block.high_bits[3] = 0x80;  // weight 31
  const std::vector<float> w = DecodeOne(DType::kQ5_1, block);
  EXPECT_EQ(w[31], 31.5f);
  EXPECT_EQ(w[15], 0.5f);
}

TEST(HandBlockTest, Q8_0) {
  BlockQ8_0 block = {.d = kHalf, .quants = {}};
  block.quants[0] = -128;
  block.quants[31] = 127;
  const std::vector<float> w = DecodeOne(DType::kQ8_0, block);
  EXPECT_EQ(w[0], -64);
  EXPECT_EQ(w[31], 63.5f);
}

TEST(HandBlockTest, Q4_K) {
  BlockQ4_K block = {.d = kOne, .dmin = kHalf, .scales = {}, .quants = {}};
  block.scales[1] = 0x80 | 5;    // scale 1 = 5; scale 5 has top bits 2
  block.scales[5] = 0x40 | 7;    // offset 1 = 7; offset 5 has top bits 1
  block.scales[9] = 0x36;        // scale 5 = 2 << 4 | 6 = 38; offset 5 = 1 << 4 | 3 = 19
  block.quants[0] = 0x90;        // weight 0 of sub-block 1 (high nibble): 9
  block.quants[64 + 31] = 0xb0;  // weight 31 of sub-block 5: 11
  const std::vector<float> w = DecodeOne(DType::kQ4_K, block);
  EXPECT_EQ(w[32], 5 * 9 - 7 * 0.5f);
  EXPECT_EQ(w[33], -3.5f);
  EXPECT_EQ(w[5 * 32 + 31], 38 * 11 - 19 * 0.5f);
  EXPECT_EQ(w[0], 0);
}

TEST(HandBlockTest, Q5_K) {
  BlockQ5_K block = {.d = kOne, .dmin = kOne, .scales = {}, .high_bits = {}, .quants = {}};
  block.scales[0] = 3;           // scale 0
  block.scales[11] = 0x02;       // scale 7
  block.quants[4] = 0x05;        // weight 4 of sub-block 0
  block.high_bits[4] = 0x01;     // its fifth bit
  block.quants[96 + 31] = 0x10;  // weight 31 of sub-block 7
  block.high_bits[31] = 0x80;
  const std::vector<float> w = DecodeOne(DType::kQ5_K, block);
  EXPECT_EQ(w[4], 3 * 21);
  EXPECT_EQ(w[255], 2 * 17);
}

TEST(HandBlockTest, Q6_K) {
  BlockQ6_K block = {.low_bits = {}, .high_bits = {}, .scales = {}, .d = kHalf};
  block.scales[0] = 2;
  block.scales[13] = -3;
  block.low_bits[7] = 0x0e;        // weight 7: half 0, group 0, low nibble
  block.high_bits[7] = 0x02;       // its top bits: 2
  block.low_bits[64 + 20] = 0xd0;  // weight 128 + 64 + 20: half 1, group 2, high nibble
  block.high_bits[32 + 20] = 3 << 4;
  const std::vector<float> w = DecodeOne(DType::kQ6_K, block);
  EXPECT_EQ(w[7], 0.5f * 2 * ((2 << 4 | 14) - 32));
  EXPECT_EQ(w[212], 0.5f * -3 * ((3 << 4 | 13) - 32));
  EXPECT_EQ(w[0], 0.5f * 2 * -32);
}

}  // namespace
}  // namespace nearfar
