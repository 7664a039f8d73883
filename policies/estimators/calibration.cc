#include "policies/estimators/calibration.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "policies/estimators/probability.h"

namespace nearfar {
namespace {

constexpr int kMaxHashBits = 24;

// The line through the points around x; the end values outside.
double Interpolate(const std::vector<double>& xs, const std::vector<double>& ys, double x) {
  const size_t above = std::upper_bound(xs.begin(), xs.end(), x) - xs.begin();
  if (above == 0) return ys.front();
  if (above == xs.size()) return ys.back();
  const double share = (x - xs[above - 1]) / (xs[above] - xs[above - 1]);
  return ys[above - 1] + share * (ys[above] - ys[above - 1]);
}

bool AllFinite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

absl::Status CheckDense(const LogisticHead& head) {
  const size_t n = head.features.size();
  if (head.weights.size() != n || head.means.size() != n || head.scales.size() != n) {
    return absl::InvalidArgumentError(absl::StrCat(
        "feature, weight, mean and scale must have one entry a feature; they have ", n, ", ",
        head.weights.size(), ", ", head.means.size(), " and ", head.scales.size()));
  }
  if (!AllFinite(head.weights) || !AllFinite(head.means) || !std::isfinite(head.bias)) {
    return absl::InvalidArgumentError("weight, mean and bias must be finite");
  }
  for (size_t i = 0; i < n; ++i) {
    if (!(head.scales[i] > 0) || !std::isfinite(head.scales[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("scale of feature '", head.features[i], "' must be above 0"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckHashed(const LogisticHead& head) {
  if (head.hash_bits < 0 || head.hash_bits > kMaxHashBits) {
    return absl::InvalidArgumentError(
        absl::StrCat("hash_bits must be in [0, ", kMaxHashBits, "], it is ", head.hash_bits));
  }
  for (const auto& [bucket, weight] : head.hashed_weights) {
    if (head.hash_bits == 0 || bucket >= (1u << head.hash_bits)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "bucket ", bucket, " is not below 2^hash_bits (hash_bits ", head.hash_bits, ")"));
    }
    if (!std::isfinite(weight)) return absl::InvalidArgumentError("bucket_weight must be finite");
  }
  return absl::OkStatus();
}

absl::Status CheckIsotonic(const LogisticHead& head) {
  if (head.isotonic_x.size() != head.isotonic_y.size()) {
    return absl::InvalidArgumentError("isotonic_x and isotonic_y must have the same length");
  }
  if (head.platt && !head.isotonic_x.empty()) {
    return absl::InvalidArgumentError(
        "give either platt_a and platt_b or isotonic points, not both");
  }
  for (size_t i = 0; i < head.isotonic_x.size(); ++i) {
    if (!std::isfinite(head.isotonic_x[i])) {
      return absl::InvalidArgumentError("isotonic_x must be finite");
    }
    if (!(head.isotonic_y[i] >= 0 && head.isotonic_y[i] <= 1)) {
      return absl::InvalidArgumentError("isotonic_y must be in [0, 1]");
    }
    if (i == 0) continue;
    if (!(head.isotonic_x[i] > head.isotonic_x[i - 1])) {
      return absl::InvalidArgumentError(
          absl::StrCat("isotonic_x must rise; point ", i, " does not"));
    }
    if (head.isotonic_y[i] < head.isotonic_y[i - 1]) {
      return absl::InvalidArgumentError(
          absl::StrCat("isotonic_y must not fall; point ", i, " does"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

double LogisticHead::Logit(absl::Span<const double> dense,
                           absl::Span<const std::pair<uint32_t, float>> hashed) const {
  assert(dense.size() == weights.size());
  double logit = bias;
  for (size_t i = 0; i < weights.size(); ++i)
    logit += weights[i] * (dense[i] - means[i]) / scales[i];
  if (hash_bits == 0) return logit;
  for (const auto& [bucket, value] : hashed) {
    const auto found = hashed_weights.find(bucket);
    if (found != hashed_weights.end()) logit += double{found->second} * value;
  }
  return logit;
}

double LogisticHead::Probability(absl::Span<const double> dense,
                                 absl::Span<const std::pair<uint32_t, float>> hashed) const {
  const double logit = Logit(dense, hashed);
  double p;
  if (platt) {
    p = Sigmoid(platt->first * logit + platt->second);
  } else {
    p = Sigmoid(logit);
    if (!isotonic_x.empty()) p = Interpolate(isotonic_x, isotonic_y, p);
  }
  return std::isnan(p) ? 0.5 : std::clamp(p, 0.0, 1.0);
}

absl::Status LogisticHead::Check() const {
  if (absl::Status status = CheckDense(*this); !status.ok()) return status;
  if (absl::Status status = CheckHashed(*this); !status.ok()) return status;
  if (platt && !(std::isfinite(platt->first) && std::isfinite(platt->second))) {
    return absl::InvalidArgumentError("platt_a and platt_b must be finite");
  }
  return CheckIsotonic(*this);
}

bool Calibration::BelongsTo(const ModelBinding& loaded) const {
  return binding.fingerprint == loaded.fingerprint && binding.quantization == loaded.quantization &&
         binding.template_hash == loaded.template_hash && binding.kv_type == loaded.kv_type &&
         binding.sampling == loaded.sampling && binding.adapter == loaded.adapter &&
         binding.feature_version == loaded.feature_version;
}

absl::Status Calibration::CheckPrefix() const {
  if (!prefix_deviation) return absl::OkStatus();
  if (!(*prefix_deviation > 0) || !std::isfinite(*prefix_deviation)) {
    return absl::InvalidArgumentError(
        absl::StrCat("must be a finite number above 0, it is ", *prefix_deviation));
  }
  if (!prefix) return absl::InvalidArgumentError("belongs to a prefix head, and there is none");
  if (prefix->platt || !prefix->isotonic_x.empty()) {
    return absl::InvalidArgumentError(
        "belongs to a prefix head that says a logit (remove its platt_a, platt_b and isotonic "
        "points)");
  }
  return absl::OkStatus();
}

}  // namespace nearfar
