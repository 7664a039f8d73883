#include "router/tuning/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <string_view>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "policies/estimators/draft_features.h"
#include "policies/estimators/prompt_features.h"
#include "policies/policy_file.h"

namespace nearfar {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pointwise;

double Draw(std::mt19937_64& random) { return (random() >> 11) * 0x1.0p-53; }

// Questions whose words tell whether near is right, and drafts whose first feature does.
struct World {
  std::vector<Question> questions;
  std::vector<Outcome> outcomes;
};

World MakeWorld(int n, bool hopeless = false) {
  std::mt19937_64 random(11);
  World world;
  for (int i = 0; i < n; ++i) {
    const bool easy = Draw(random) < 0.5;
    const bool right = !hopeless && Draw(random) < (easy ? 0.9 : 0.1);
    Question question;
    question.id = absl::StrCat("q", i);
    question.template_name = absl::StrCat("template", i % 20);
    question.text = easy ? absl::StrCat("Name a simple colour, number ", i)
                         : absl::StrCat("Derive a theorem about manifold ", i, " of topology");
    Outcome outcome;
    outcome.id = question.id;
    outcome.feature_version = kFeatureVersion;
    outcome.near.emplace();
    outcome.near->score = right;
    outcome.near->tokens = 10 + i % 7;
    outcome.near->features.assign(DraftFeatureNames().size(), 0.0);
    outcome.near->features[0] = (right ? -0.2 : -1.0) + 0.3 * Draw(random);
    outcome.near->prefixes = {outcome.near->features};
    outcome.far.emplace();
    outcome.far->name = "large";
    outcome.far->score = Draw(random) < (easy ? 0.97 : 0.6);
    world.questions.push_back(question);
    world.outcomes.push_back(outcome);
  }
  return world;
}

const HeldOut& Find(const CalibrateResult& result, const std::string& name) {
  for (const HeldOut& held : result.held_out) {
    if (held.name == name) return held;
  }
  ADD_FAILURE() << name << " is missing";
  return result.held_out.front();
}

TEST(FitCalibration, FitsEveryHeadAndJudgesIt) {
  const World world = MakeWorld(400);
  CalibrateOptions options;
  options.name = "world";
  options.binding.fingerprint = "f00d";
  const auto result = FitCalibration(world.questions, world.outcomes, options);
  ASSERT_TRUE(result.ok()) << result.status();
  const Calibration& calibration = result->calibration;
  EXPECT_EQ(calibration.binding.fingerprint, "f00d");
  ASSERT_TRUE(calibration.prompt_near && calibration.draft && calibration.prefix);
  ASSERT_EQ(calibration.prompt_far.size(), 1u);
  EXPECT_EQ(calibration.prompt_far[0].target_model, "large");
  EXPECT_TRUE(calibration.prompt_near->Check().ok());
  EXPECT_TRUE(calibration.draft->Check().ok());
  EXPECT_TRUE(calibration.prefix->Check().ok());
  EXPECT_TRUE(calibration.prefix_deviation && calibration.CheckPrefix().ok());
  EXPECT_GT(Find(*result, "prompt head").auroc, 0.8);
  EXPECT_GT(Find(*result, "draft head").auroc, 0.95);
  EXPECT_LT(Find(*result, "draft head").ece, 0.1);
  EXPECT_GT(Find(*result, "prefix head (rejection)").auroc, 0.95);
  EXPECT_NEAR(result->near_right, 0.5, 0.1);
  EXPECT_NEAR(result->far_right, 0.8, 0.1);
  EXPECT_GE(calibration.median_tokens, 10);
  EXPECT_GE(calibration.p90_tokens, calibration.median_tokens);
  // 20 templates cannot promise 0.02; the other bounds have an entry each.
  ASSERT_EQ(calibration.fit.risk.size(), 4u);
  EXPECT_EQ(calibration.fit.risk[0].first, 0.05);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_LE(calibration.fit.risk[i].second, calibration.fit.risk[i - 1].second);
  }
}

// Outcomes are collected under another limit than the one that live requests set.
TEST(FitCalibration, FitsOnNothingThatTellsOfTheLimit) {
  World world = MakeWorld(100);
  const auto names = DraftFeatureNames();
  for (Outcome& outcome : world.outcomes) {
    for (size_t f = 0; f < names.size(); ++f) {
      const bool limit = std::string_view(names[f]) == "tokens_of_limit" ||
                         std::string_view(names[f]) == "hit_limit";
      if (limit) outcome.near->features[f] = outcome.near->score < 0.5;
    }
    outcome.near->prefixes = {outcome.near->features};
  }
  const auto result = FitCalibration(world.questions, world.outcomes, {});
  ASSERT_TRUE(result.ok()) << result.status();
  for (const auto& head : {result->calibration.draft, result->calibration.prefix}) {
    ASSERT_TRUE(head.has_value());
    EXPECT_EQ(head->features.size(), names.size() - 2);
    EXPECT_THAT(head->features, Not(Contains(AnyOf("tokens_of_limit", "hit_limit"))));
  }
}

TEST(FitCalibration, GivesTheSameNumbersTwice) {
  const World world = MakeWorld(150);
  const auto first = FitCalibration(world.questions, world.outcomes, {});
  const auto second = FitCalibration(world.questions, world.outcomes, {});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->calibration.draft->weights, second->calibration.draft->weights);
  EXPECT_EQ(Find(*first, "prompt head").auroc, Find(*second, "prompt head").auroc);
}

TEST(FitCalibration, LeavesOutAHeadThatKnowsNothing) {
  World world = MakeWorld(300);
  std::mt19937_64 random(5);
  for (Outcome& outcome : world.outcomes) {
    outcome.near->prefixes = {std::vector<double>(DraftFeatureNames().size(), 0.0)};
    outcome.near->prefixes[0][0] = Draw(random);
  }
  const auto result = FitCalibration(world.questions, world.outcomes, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_LT(Find(*result, "prefix head (rejection)").auroc, 0.6);
  EXPECT_FALSE(result->calibration.prefix.has_value());
  EXPECT_TRUE(result->calibration.draft.has_value());
}

constexpr double kSame = 1e-3;  // what another compiler's arithmetic may differ by

MATCHER(IsSame, "") { return std::abs(std::get<0>(arg) - std::get<1>(arg)) < kSame; }

void ExpectSameHead(const std::optional<LogisticHead>& fitted,
                    const std::optional<LogisticHead>& shipped, const std::string& name) {
  SCOPED_TRACE(name);
  ASSERT_EQ(fitted.has_value(), shipped.has_value());
  if (!fitted) return;
  EXPECT_EQ(fitted->features, shipped->features);
  EXPECT_THAT(fitted->weights, Pointwise(IsSame(), shipped->weights));
  EXPECT_THAT(fitted->means, Pointwise(IsSame(), shipped->means));
  EXPECT_THAT(fitted->scales, Pointwise(IsSame(), shipped->scales));
  EXPECT_NEAR(fitted->bias, shipped->bias, kSame);
  EXPECT_EQ(fitted->hash_bits, shipped->hash_bits);
  ASSERT_EQ(fitted->hashed_weights.size(), shipped->hashed_weights.size());
  for (const auto& [bucket, weight] : fitted->hashed_weights) {
    ASSERT_TRUE(shipped->hashed_weights.contains(bucket)) << bucket;
    EXPECT_NEAR(weight, shipped->hashed_weights.at(bucket), kSame) << bucket;
  }
  ASSERT_EQ(fitted->platt.has_value(), shipped->platt.has_value());
  if (!fitted->platt) return;
  EXPECT_NEAR(fitted->platt->first, shipped->platt->first, kSame);
  EXPECT_NEAR(fitted->platt->second, shipped->platt->second, kSame);
}

void ExpectSameFit(const Calibration& fitted, const Calibration& shipped) {
  ExpectSameHead(fitted.prompt_near, shipped.prompt_near, "prompt_near");
  ASSERT_EQ(fitted.prompt_far.size(), shipped.prompt_far.size());
  for (size_t i = 0; i < fitted.prompt_far.size(); ++i) {
    EXPECT_EQ(fitted.prompt_far[i].target_model, shipped.prompt_far[i].target_model);
    ExpectSameHead(fitted.prompt_far[i].head, shipped.prompt_far[i].head, "prompt_far");
  }
  ExpectSameHead(fitted.draft, shipped.draft, "draft");
  ExpectSameHead(fitted.prefix, shipped.prefix, "prefix");
  EXPECT_NEAR(fitted.prefix_deviation.value_or(0), shipped.prefix_deviation.value_or(0), kSame);
  EXPECT_EQ(fitted.median_tokens, shipped.median_tokens);
  EXPECT_EQ(fitted.p90_tokens, shipped.p90_tokens);
  EXPECT_EQ(fitted.fit.questions, shipped.fit.questions);
  EXPECT_NEAR(*fitted.fit.auroc, *shipped.fit.auroc, kSame);
  EXPECT_NEAR(*fitted.fit.ece, *shipped.fit.ece, kSame);
  EXPECT_NEAR(*fitted.fit.brier, *shipped.fit.brier, kSame);
  EXPECT_NEAR(*fitted.fit.prompt_auroc, *shipped.fit.prompt_auroc, kSame);
  EXPECT_NEAR(*fitted.fit.length_only_auroc, *shipped.fit.length_only_auroc, kSame);
  ASSERT_EQ(fitted.fit.risk.size(), shipped.fit.risk.size());
  for (size_t i = 0; i < fitted.fit.risk.size(); ++i) {
    EXPECT_EQ(fitted.fit.risk[i].first, shipped.fit.risk[i].first);
    EXPECT_NEAR(fitted.fit.risk[i].second, shipped.fit.risk[i].second, kSame);
  }
}

// The calibration that ships is what its own command makes of the outcomes beside it, and it knows
// more than the prompt's length does.
TEST(FitCalibration, ReproducesTheShippedFile) {
  const std::string stem =
      NEARFAR_SOURCE_DIR "/policies/calibrations/qwen2.5-coder-0.5b-instruct-q4_k_m";
  const auto shipped = LoadCalibrationFile(stem + ".calibration.yaml");
  ASSERT_TRUE(shipped.ok()) << shipped.status();
  const auto questions = LoadQuestions(NEARFAR_SOURCE_DIR "/policies/questions/everyday.jsonl");
  const auto outcomes = LoadOutcomes(stem + ".outcomes.jsonl");
  ASSERT_TRUE(questions.ok() && outcomes.ok());
  const auto fitted = FitCalibration(*questions, *outcomes, {});
  ASSERT_TRUE(fitted.ok()) << fitted.status();
  ExpectSameFit(fitted->calibration, *shipped);
  EXPECT_GT(*shipped->fit.prompt_auroc, *shipped->fit.length_only_auroc + 0.1);
  EXPECT_GT(Find(*fitted, "draft head").auroc, Find(*fitted, "logprob_mean").auroc + 0.05);
}

TEST(FitCalibration, RefusesWhatItCannotLearnFrom) {
  World few = MakeWorld(50);
  EXPECT_THAT(FitCalibration(few.questions, few.outcomes, {}).status().ToString(),
              HasSubstr("50 outcomes are too few"));
  World alike = MakeWorld(150, /*hopeless=*/true);
  EXPECT_THAT(FitCalibration(alike.questions, alike.outcomes, {}).status().ToString(),
              HasSubstr("alike"));
  World strange = MakeWorld(150);
  strange.outcomes[3].id = "unknown";
  EXPECT_THAT(FitCalibration(strange.questions, strange.outcomes, {}).status().ToString(),
              HasSubstr("\"unknown\" has no question"));
  World old = MakeWorld(150);
  old.outcomes[3].feature_version = kFeatureVersion + 1;
  EXPECT_THAT(FitCalibration(old.questions, old.outcomes, {}).status().ToString(),
              HasSubstr("collect again"));
  World endless = MakeWorld(150);
  endless.outcomes[3].near->features[2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(FitCalibration(endless.questions, endless.outcomes, {}).status().ToString(),
              HasSubstr("\"q3\": near.features are not 20 finite numbers"));
  World cut = MakeWorld(150);
  cut.outcomes[4].near->prefixes.push_back({1, 2});
  EXPECT_THAT(FitCalibration(cut.questions, cut.outcomes, {}).status().ToString(),
              HasSubstr("\"q4\": near.prefixes[1] are not 20 finite numbers"));
}

}  // namespace
}  // namespace nearfar
