#include "local_engine/ops/activations.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include "gtest/gtest.h"
#include "local_engine/kernels/tables.h"

namespace nearfar {
namespace {

TEST(FormsForTest, FollowsTheWeights) {
  const ActivationForms quantized = FormsFor(kScalarKernels, {DType::kQ4_1, DType::kQ6_K});
  EXPECT_TRUE(quantized.quantized);
  EXPECT_FALSE(quantized.floats);
  const ActivationForms floats = FormsFor(kScalarKernels, {DType::kF16});
  EXPECT_FALSE(floats.quantized);
  EXPECT_TRUE(floats.floats);
  const ActivationForms both = FormsFor(kScalarKernels, {DType::kBF16, DType::kQ8_0});
  EXPECT_TRUE(both.quantized && both.floats);
}

TEST(FormsForTest, TheReferenceReadsFloatsAlone) {
  const ActivationForms forms = FormsFor(kReferenceKernels, {DType::kQ4_1});
  EXPECT_FALSE(forms.quantized);
  EXPECT_TRUE(forms.floats);
}

TEST(ActivationsTest, KeepsBothFormsUnlessToldOtherwise) {
  Activations x = Activations::Create({}, 3, 70).value();
  x.Reshape(3, 70);
  EXPECT_EQ(x.tokens(), 3);
  EXPECT_EQ(x.width(), 70);
  EXPECT_EQ(x.blocks_per_token(), 4);  // whole pairs
  const ActivationView view = x.view();
  EXPECT_EQ(x.values(2) - view.values, 2 * 4 * kActivationBlock);
  EXPECT_EQ(x.blocks(2) - view.blocks, 2 * 4);
  EXPECT_EQ(x.floats(2) - view.floats, 2 * 70);
}

TEST(ActivationsTest, AnUnkeptFormHasNoPlace) {
  Activations x = Activations::Create({.quantized = true, .floats = false}, 2, 64).value();
  x.Reshape(2, 64);
  EXPECT_EQ(x.floats(0), nullptr);
  EXPECT_EQ(x.view().floats, nullptr);
  EXPECT_NE(x.values(0), nullptr);
  Activations y = Activations::Create({.quantized = false, .floats = true}, 2, 64).value();
  y.Reshape(2, 64);
  EXPECT_EQ(y.values(0), nullptr);
  EXPECT_EQ(y.blocks(1), nullptr);
  EXPECT_NE(y.floats(1), nullptr);
}

TEST(ActivationsTest, MemoryIsUsedAgainAndSurvivesAMove) {
  Activations x = Activations::Create({}, 8, 64).value();
  x.Reshape(8, 64);
  const int8_t* place = x.values(0);
  x.Reshape(1, 64);
  EXPECT_EQ(x.values(0), place);
  x.Reshape(8, 64);
  EXPECT_EQ(x.values(0), place);
  std::memset(x.values(0), 1, 64);
  Activations y = std::move(x);
  EXPECT_EQ(y.values(0)[63], 1);
}

TEST(ActivationsTest, MemoryThatThereIsNotIsAnError) {
  const auto x = Activations::Create({}, int64_t{1} << 40, int64_t{1} << 15);
  EXPECT_EQ(x.status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace nearfar
