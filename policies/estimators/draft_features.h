// A draft as numbers, built token by token: how sure the model was of what it said.
// Features follow Gupta et al. 2024 (quantiles of token log-probabilities) and DeepConf 2025 (lowest
// window). Held by tests/policies/estimators/draft_features_test.cc.

#ifndef NEARFAR_POLICIES_ESTIMATORS_DRAFT_FEATURES_H_
#define NEARFAR_POLICIES_ESTIMATORS_DRAFT_FEATURES_H_

#include <string_view>
#include <vector>

#include "absl/types/span.h"

namespace nearfar {

// Names of DraftSignals::dense, in order: mean, min and quantiles of the logprob, lowest window mean,
// mean margin, first-token entropy, mean entropy, length, length / max_tokens, repetition rate, ...
absl::Span<const char* const> DraftFeatureNames();

// One caller at a time. Amortised O(log n) a token.
class DraftFeatures {
 public:
  explicit DraftFeatures(int max_tokens) : max_tokens_(max_tokens) {}

  void Add(int id, double logprob, double entropy, double margin, std::string_view text);
  int tokens() const { return static_cast<int>(logprobs_.size()); }
  // Values for DraftFeatureNames(); all zero before the first token.
  std::vector<double> Values(bool finished, bool hit_limit) const;

 private:
  int max_tokens_;
  std::vector<double> logprobs_, entropies_, margins_;
  std::vector<int> ids_;
};

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_ESTIMATORS_DRAFT_FEATURES_H_
