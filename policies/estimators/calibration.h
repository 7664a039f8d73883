// Fitted estimators as plain values, bound to the model that they were fitted for.
// The file's schema is proto/nearfar/v1/calibration.proto.

#ifndef NEARFAR_POLICIES_ESTIMATORS_CALIBRATION_H_
#define NEARFAR_POLICIES_ESTIMATORS_CALIBRATION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "policies/signals.h"

namespace nearfar {

// p = calibrate(sigmoid(bias + sum_i weight_i (x_i - mean_i) / scale_i + sum_j w_bucket(j) v_j)).
// calibrate is at most one of: Platt, sigmoid(a * logit + b); isotonic, the line through
// (isotonic_x, isotonic_y) where x is the uncalibrated probability, constant beyond both ends.
// Held by tests/policies/estimators/calibration_test.cc.
struct LogisticHead {
  std::vector<std::string> features;  // names, in the order of weights
  std::vector<double> weights, means, scales;
  double bias = 0;
  int hash_bits = 0;  // 0 = no hashed part
  std::unordered_map<uint32_t, float> hashed_weights;
  std::optional<std::pair<double, double>> platt;  // a, b on the logit
  std::vector<double> isotonic_x, isotonic_y;      // empty = none

  // The uncalibrated score. dense: values of `features` in this order, one each.
  double Logit(absl::Span<const double> dense,
               absl::Span<const std::pair<uint32_t, float>> hashed) const;
  // The same, calibrated; in [0, 1].
  double Probability(absl::Span<const double> dense,
                     absl::Span<const std::pair<uint32_t, float>> hashed) const;
  // InvalidArgument: sizes differ, a scale is not positive, isotonic points do not rise,
  // both Platt and isotonic, a bucket beyond 2^hash_bits, a number that is not finite.
  absl::Status Check() const;
};

struct FarHead {
  std::string target_model;
  std::string target_fingerprint;
  LogisticHead head;
};

struct Calibration {
  std::string name;
  ModelBinding binding;
  std::optional<LogisticHead> prompt_near;
  std::vector<FarHead> prompt_far;
  std::optional<LogisticHead> draft;
  // Says the mean of the finished draft's logit, log(p / (1 - p)) of what `draft` will say, given
  // the draft so far; prefix_deviation is the standard deviation around it. A head without a
  // deviation is not used.
  std::optional<LogisticHead> prefix;
  std::optional<double> prefix_deviation;
  double median_tokens = 0;  // 0 = unknown
  double p90_tokens = 0;
  struct {
    int questions = 0;
    std::optional<double> auroc, ece, brier, prompt_auroc, length_only_auroc;
    std::string command;
    std::vector<std::pair<double, double>> risk;  // max_wrong_accepted, min_confidence
  } fit;

  // True if what near's heads and lengths say holds for this model: every field of the binding is
  // the same.
  bool BelongsTo(const ModelBinding& loaded) const;
  // InvalidArgument: prefix_deviation without a prefix head, one that is calibrated (Platt or
  // isotonic: its logit would not be what it says), or not a finite number above 0.
  absl::Status CheckPrefix() const;
};

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_ESTIMATORS_CALIBRATION_H_
