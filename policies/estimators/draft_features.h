// A draft as numbers, built token by token: how sure the model was of what it said.
// Features follow Gupta et al. 2024 (quantiles of token log-probabilities) and DeepConf 2025
// (lowest window). Held by tests/policies/estimators/draft_features_test.cc.

#ifndef NEARFAR_POLICIES_ESTIMATORS_DRAFT_FEATURES_H_
#define NEARFAR_POLICIES_ESTIMATORS_DRAFT_FEATURES_H_

#include <cstdint>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "absl/types/span.h"

namespace nearfar {

// Names of DraftSignals::dense, in order: mean, min and quantiles of the logprob, lowest window
// mean, mean margin, first-token entropy, mean entropy, length, length / max_tokens, repetition
// rate, ...
absl::Span<const char* const> DraftFeatureNames();

// One caller at a time. Add costs a binary search and the shift of a sorted array (nothing beside a
// token's inference); Values is constant time.
class DraftFeatures {
 public:
  // max_tokens <= 0: the answer's length has no limit, and length / max_tokens is 0.
  explicit DraftFeatures(int max_tokens) : max_tokens_(max_tokens) {}

  // Statistics as in local_engine/token.h (nats); a value that is not finite is taken as the worst
  // of its kind. `text` is what the token adds, possibly nothing.
  void Add(int id, double logprob, double entropy, double margin, std::string_view text);
  int tokens() const { return static_cast<int>(logprobs_.size()); }
  // Values for DraftFeatureNames(); all zero before the first token.
  std::vector<double> Values(bool finished, bool hit_limit) const;

 private:
  static constexpr int kWindow = 8;

  void AddToWindow();
  void AddToRepetition(int id);
  double Quantile(double share) const;

  int max_tokens_;
  std::vector<double> logprobs_;  // in order of arrival
  std::vector<double> sorted_;    // the same, rising
  double logprob_sum_ = 0;
  double lowest_window_ = 0;
  double window_sum_ = 0;  // of the last kWindow logprobs
  double margin_sum_ = 0, margin_min_ = 0;
  double entropy_first_ = 0, entropy_sum_ = 0, entropy_max_ = 0;
  double digit_min_ = 0;  // lowest logprob of a token with a digit
  double word_sum_ = 0;   // of tokens with a letter or digit
  int words_ = 0;
  int ids_[2] = {-1, -1};  // the last two
  int repeated_trigrams_ = 0;
  std::unordered_set<uint64_t> trigrams_;
};

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_ESTIMATORS_DRAFT_FEATURES_H_
