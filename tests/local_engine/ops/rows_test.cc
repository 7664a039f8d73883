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

TEST_P(RowsOpTest, WhatIsNormalizedIsTheSumOfEachToken) {
  const int64_t tokens = 45, width = 576;
  std::vector<float> x = RandomFloats(tokens * width, 3.0f, &random_);
  const std::vector<float> delta = RandomFloats(tokens * width, 2.0f, &random_);
  const std::vector<float> weight = RandomFloats(width, 1.0f, &random_);
  Activations quantized = NewActivations();
  const auto expect_norm_of = [&](const std::vector<float>& sum) {
    std::vector<float> expected(sum.size());
    for (int64_t t = 0; t < tokens; ++t) {
      table().rms_norm(&sum[t * width], weight.data(), 1e-6f, width, &expected[t * width]);
    }
    ExpectHolds(table(), quantized, expected);
    EXPECT_EQ(x, sum);
  };
  std::vector<float> sum = x;
  AddRmsNormQuantize(context(), nullptr, weight.data(), 1e-6f, tokens, width, x.data(), &quantized);
  expect_norm_of(sum);
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += delta[i];
  AddRmsNormQuantize(context(), delta.data(), weight.data(), 1e-6f, tokens, width, x.data(),
                     &quantized);
  expect_norm_of(sum);
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

// Tokens of two sequences side by side, in parts of their caches that nobody else writes to.
TEST_P(RowsOpTest, RotatedKeysGoIntoGroupsAndValuesIntoRows) {
  const int64_t heads = 4, kv_heads = 2, width = 34, count = 300;
  const int64_t query_width = heads * width, kv_width = kv_heads * width;
  const AttentionShape shape = {
      .heads = heads, .kv_heads = kv_heads, .head_width = width, .scale = 1};
  std::vector<float> query = RandomFloats(count * query_width, 2.0f, &random_);
  std::vector<float> key = RandomFloats(count * kv_width, 2.0f, &random_);
  const std::vector<float> value = RandomFloats(count * kv_width, 2.0f, &random_);
  std::vector<float> rope(400 * 32);
  BuildRopeTable(10000.0f, nullptr, 32, 0, 400, rope.data());
  constexpr uint16_t kUntouched = 0x7bcd;
  const int64_t head_halves =
      KvPartBytes(DType::kF16, width) / static_cast<int64_t>(sizeof(uint16_t));
  std::vector<std::vector<uint16_t>> parts(
      3, std::vector<uint16_t>(3 + kv_heads * head_halves, kUntouched));
  std::vector<uint8_t*> places;
  for (auto& part : parts) places.push_back(reinterpret_cast<uint8_t*>(part.data()));
  // The first 290 tokens are positions 5 to 294 of one sequence, the others 7 to 16 of another.
  const auto is_first = [](int64_t token) { return token < 290; };
  const auto position_of = [&](int64_t token) { return is_first(token) ? 5 + token : token - 283; };
  std::vector<StoreItem> items;
  std::vector<float> rotated_query = query, rotated_key = key;
  for (int64_t t = 0; t < count; ++t) {
    items.push_back({.query = &query[t * query_width],
                     .key = &key[t * kv_width],
                     .value = &value[t * kv_width],
                     .position = position_of(t),
                     .kv = {places.data() + (is_first(t) ? 0 : 2), 3 * sizeof(uint16_t)}});
    const float* table_row = &rope[position_of(t) * 32];
    table().rope({&rotated_query[t * query_width], table_row, heads, width, 32, false});
    table().rope({&rotated_key[t * kv_width], table_row, kv_heads, width, 32, false});
  }
  RopeAndStore(context(), shape, {.table = rope.data(), .width = 32, .interleaved = false}, items);
  EXPECT_EQ(query, rotated_query);
  std::vector<std::vector<uint16_t>> expected(3,
                                              std::vector<uint16_t>(parts[0].size(), kUntouched));
  for (int64_t t = 0; t < count; ++t) {
    const int64_t at = position_of(t) % kAttentionPart;
    for (int64_t i = 0; i < kv_width; ++i) {
      uint16_t* head = expected[is_first(t) ? position_of(t) / kAttentionPart : 2].data() + 3 +
                       i / width * head_halves;
      head[at / 16 * 16 * width + i % width * 16 + at % 16] =
          FloatToHalf(rotated_key[t * kv_width + i]);
      head[(kAttentionPart + at) * width + i % width] = FloatToHalf(value[t * kv_width + i]);
    }
  }
  EXPECT_EQ(parts, expected);
}

INSTANTIATE_TEST_SUITE_P(EveryTable, RowsOpTest, EveryTableAndThreads(), NameOf);

}  // namespace
}  // namespace nearfar
