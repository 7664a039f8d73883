// The ops on whole rows, over several tokens and threads, against the kernels' own row functions or
// plain formulas.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "local_engine/base/half.h"
#include "tests/local_engine/ops/ops_testing.h"

namespace nearfar {
namespace {

using RowsOpTest = OpsTest;

// That `x` holds exactly these rows, in both forms.
void ExpectHolds(const KernelTable& table, const Activations& x, const std::vector<float>& rows) {
  const TestActivations expected = MakeActivations(table, rows, x.tokens(), x.width());
  const ActivationView view = x.view();
  EXPECT_EQ(std::memcmp(view.floats, rows.data(), rows.size() * sizeof(float)), 0);
  EXPECT_EQ(std::memcmp(view.values, expected.values.data(), expected.values.size()), 0);
  EXPECT_EQ(std::memcmp(view.blocks, expected.blocks.data(),
                        expected.blocks.size() * sizeof(ActivationBlock)),
            0);
}

TEST_P(RowsOpTest, EmbedPicksRowsOfAnyFormat) {
  for (const DType dtype : {DType::kQ8_0, DType::kQ6_K, DType::kF16}) {
    const QuantFormat* format = FindFormat(dtype);
    const std::vector<float> floats = RandomFloats(50 * 256, 1.0f, &random_);
    std::vector<uint8_t> bytes(50 * format->RowBytes(256));
    std::vector<float> decoded(50 * 256);
    format->encode(floats.data(), bytes.data(), 50 * 256);
    format->decode(bytes.data(), decoded.data(), 50 * 256);
    const TestWeights packed = Pack(*format, bytes, 50, 256);
    const Matrix rows = {.dtype = dtype,
                         .rows = 50,
                         .cols = 256,
                         .data = bytes.data(),
                         .stride = format->RowBytes(256)};
    Matrix strips = rows;
    strips.data = packed.bytes.data();
    strips.stride = packed.stride;
    strips.packed = FindPackedFormat(dtype) != nullptr;
    std::vector<int32_t> ids;
    for (int i = 0; i < 70; ++i) ids.push_back((i * 37) % 50);
    for (const Matrix& table : {rows, strips}) {
      std::vector<float> out(ids.size() * 256);
      Embed(context(), table, ids, out.data());
      for (size_t i = 0; i < ids.size(); ++i) {
        ASSERT_EQ(std::memcmp(&out[i * 256], &decoded[ids[i] * 256], 256 * sizeof(float)), 0) << i;
      }
    }
  }
}

TEST_P(RowsOpTest, RmsNormTreatsEachTokenAlone) {
  const int64_t tokens = 45, width = 576;
  const std::vector<float> x = RandomFloats(tokens * width, 3.0f, &random_);
  const std::vector<float> weight = RandomFloats(width, 1.0f, &random_);
  std::vector<float> out(x.size()), expected(x.size());
  for (int64_t t = 0; t < tokens; ++t) {
    table().rms_norm(&x[t * width], weight.data(), 1e-6f, width, &expected[t * width]);
  }
  RmsNorm(context(), x.data(), weight.data(), 1e-6f, tokens, width, out.data());
  EXPECT_EQ(out, expected);
  Activations quantized = NewActivations();
  RmsNormQuantize(context(), x.data(), weight.data(), 1e-6f, tokens, width, &quantized);
  ExpectHolds(table(), quantized, expected);
}

TEST_P(RowsOpTest, QuantizeKeepsBothForms) {
  const int64_t tokens = 33, width = 320;
  const std::vector<float> x = RandomFloats(tokens * width, 3.0f, &random_);
  Activations quantized = NewActivations();
  Quantize(context(), x.data(), tokens, width, &quantized);
  ExpectHolds(table(), quantized, x);
}

TEST_P(RowsOpTest, SiluMulQuantizeNeedsNoPlaceForFloats) {
  const int64_t tokens = 20, width = 896;
  const std::vector<float> gate = RandomFloats(tokens * width, 6.0f, &random_);
  const std::vector<float> up = RandomFloats(tokens * width, 2.0f, &random_);
  std::vector<float> expected(gate.size());
  table().silu_mul(gate.data(), up.data(), tokens * width, expected.data());
  Activations both = NewActivations();
  Activations quantized =
      Activations::Create({.quantized = true, .floats = false}, tokens, width).value();
  SiluMulQuantize(context(), gate.data(), up.data(), tokens, width, &both);
  ExpectHolds(table(), both, expected);
  SiluMulQuantize(context(), gate.data(), up.data(), tokens, width, &quantized);
  EXPECT_EQ(std::memcmp(quantized.view().values, both.view().values, tokens * width), 0);
}

TEST_P(RowsOpTest, RopeTableIsCosineAndSineOfEachPosition) {
  std::vector<float> rope(3 * 8);
  const float factors[] = {1, 2, 4, 8};
  // In two steps, as a conversation grows.
  BuildRopeTable(10000.0f, factors, 8, 0, 2, rope.data());
  EXPECT_EQ(rope[2 * 8], 0);
  BuildRopeTable(10000.0f, factors, 8, 2, 3, rope.data());
  for (int position = 0; position < 3; ++position) {
    for (int i = 0; i < 4; ++i) {
      const double angle = position * std::pow(10000.0, -2.0 * i / 8) / factors[i];
      EXPECT_FLOAT_EQ(rope[position * 8 + 2 * i], static_cast<float>(std::cos(angle)));
      EXPECT_FLOAT_EQ(rope[position * 8 + 2 * i + 1], static_cast<float>(std::sin(angle)));
    }
  }
}

TEST_P(RowsOpTest, RopeTurnsEachTokenByItsOwnPosition) {
  const RopeShape shape = {.heads = 3, .head_width = 64, .rope_width = 64, .interleaved = false};
  const int64_t stride = 3 * 64 + 10;
  std::vector<float> rope(100 * 64);
  BuildRopeTable(10000.0f, nullptr, 64, 0, 100, rope.data());
  std::vector<int32_t> positions;
  for (int i = 0; i < 60; ++i) positions.push_back((i * 7) % 100);
  std::vector<float> x = RandomFloats(60 * stride, 1.0f, &random_), expected = x;
  for (int64_t t = 0; t < 60; ++t) {
    table().rope({&expected[t * stride], &rope[positions[t] * 64], 3, 64, 64, false});
  }
  Rope(context(), shape, rope.data(), positions, x.data(), stride);
  EXPECT_EQ(x, expected);
}

TEST_P(RowsOpTest, AddCoversAllElements) {
  const int64_t n = 30001;
  std::vector<float> x = RandomFloats(n, 2.0f, &random_);
  const std::vector<float> y = RandomFloats(n, 2.0f, &random_), before = x;
  AddInPlace(context(), x.data(), y.data(), n);
  for (int64_t i = 0; i < n; ++i) ASSERT_EQ(x[i], before[i] + y[i]);
}

TEST_P(RowsOpTest, KeysGoIntoGroupsAndValuesIntoRows) {
  const int64_t heads = 2, width = 34, first = 5, count = 300;
  const AttentionShape shape = {.heads = 2, .kv_heads = heads, .head_width = width, .scale = 1};
  const std::vector<float> key = RandomFloats(count * heads * width, 2.0f, &random_);
  const std::vector<float> value = RandomFloats(count * heads * width, 2.0f, &random_);
  constexpr uint16_t kUntouched = 0x7bcd;
  const int64_t head_halves =
      KvPartBytes(DType::kF16, width) / static_cast<int64_t>(sizeof(uint16_t));
  std::vector<std::vector<uint16_t>> parts(
      2, std::vector<uint16_t>(3 + heads * head_halves, kUntouched));
  std::vector<uint8_t*> places;
  for (auto& part : parts) places.push_back(reinterpret_cast<uint8_t*>(part.data()));
  StoreKeysAndValues(context(), shape, first, count, key.data(), value.data(),
                     {places.data(), 3 * sizeof(uint16_t)});
  for (int64_t p = 0; p < 2 * kAttentionPart; ++p) {
    const bool written = p >= first && p < first + count;
    const int64_t in_part = p % kAttentionPart;
    for (int64_t i = 0; i < heads * width; ++i) {
      const uint16_t* head = parts[p / kAttentionPart].data() + 3 + i / width * head_halves;
      const int64_t from = (p - first) * heads * width + i, d = i % width;
      ASSERT_EQ(head[in_part / 16 * 16 * width + d * 16 + in_part % 16],
                written ? FloatToHalf(key[from]) : kUntouched);
      ASSERT_EQ(head[(kAttentionPart + in_part) * width + d],
                written ? FloatToHalf(value[from]) : kUntouched);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryTable, RowsOpTest, EveryTableAndThreads(), NameOf);

}  // namespace
}  // namespace nearfar
