#include "policies/estimators/bound_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/policies/signals_for_tests.h"

namespace nearfar {
namespace {

size_t IndexOf(absl::Span<const char* const> names, const std::string& name) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (name == names[i]) return i;
  }
  ADD_FAILURE() << name;
  return 0;
}

Signals Filled() {
  Signals s = PlainSignals();
  FillPromptFeatures("What is 2 + 2?", &s.prompt);
  s.draft = DraftOf(5, true);
  s.draft->dense[IndexOf(DraftFeatureNames(), "logprob_mean")] = -0.75;
  return s;
}

TEST(HeadInputs, FindsFeaturesByName) {
  const Signals s = Filled();
  const double numbers = s.prompt.dense[IndexOf(PromptFeatureNames(), "numbers")];
  EXPECT_EQ(HeadInputs({"numbers"}, HeadKind::kPrompt, s), std::vector<double>{numbers});
  EXPECT_EQ(
      HeadInputs({"prompt.numbers", "logprob_mean", "prompt_near"}, HeadKind::kDraft, s, 0.25),
      (std::vector<double>{numbers, -0.75, 0.25}));
}

TEST(HeadInputs, IsEmptyWhereSomethingIsMissing) {
  Signals s = Filled();
  EXPECT_EQ(HeadInputs({"prompt_near"}, HeadKind::kDraft, s), std::nullopt);
  EXPECT_EQ(HeadInputs({"nonsense"}, HeadKind::kDraft, s), std::nullopt);
  EXPECT_EQ(HeadInputs({"logprob_mean"}, HeadKind::kPrompt, s), std::nullopt);
  s.draft->dense.pop_back();  // of another feature version
  EXPECT_EQ(HeadInputs({"logprob_mean"}, HeadKind::kDraft, s), std::nullopt);
  s.draft.reset();
  EXPECT_EQ(HeadInputs({"logprob_mean"}, HeadKind::kDraft, s), std::nullopt);
  s.prompt.dense.clear();
  EXPECT_EQ(HeadInputs({"numbers"}, HeadKind::kPrompt, s), std::nullopt);
}

TEST(BoundHead, GivesTheHeadsProbability) {
  const Signals s = Filled();
  LogisticHead head;
  head.features = {"logprob_mean"};
  head.weights = {2}, head.means = {0}, head.scales = {1};
  head.bias = 1.5;
  ASSERT_TRUE(CheckHead(head, HeadKind::kDraft).ok());
  EXPECT_NEAR(*BoundHead(&head, HeadKind::kDraft).Probability(s), 0.5, 1e-12);
  EXPECT_NEAR(*BoundHead(&head, HeadKind::kDraft).Logit(s), 0, 1e-12);
  head.hash_bits = kPromptHashBits;
  head.hashed_weights[s.prompt.hashed[0].first] = 10;
  EXPECT_GT(*BoundHead(&head, HeadKind::kDraft).Probability(s), 0.5);
  EXPECT_EQ(BoundHead(&head, HeadKind::kDraft).Probability(PlainSignals()), std::nullopt);
  EXPECT_EQ(BoundHead(&head, HeadKind::kDraft).Logit(PlainSignals()), std::nullopt);
}

TEST(CheckHead, NamesUnknownFeaturesAndForeignHashes) {
  LogisticHead head;
  head.features = {"logprob_mean"};
  head.weights = head.means = {0};
  head.scales = {1};
  EXPECT_TRUE(CheckHead(head, HeadKind::kDraft).ok());
  EXPECT_THAT(std::string(CheckHead(head, HeadKind::kPrompt).message()),
              testing::HasSubstr("'logprob_mean'"));
  head.hash_bits = 12;
  EXPECT_THAT(std::string(CheckHead(head, HeadKind::kDraft).message()),
              testing::HasSubstr("hash_bits"));
}

}  // namespace
}  // namespace nearfar
