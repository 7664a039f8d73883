// Fitting of the heads that calibration.h holds, and the figures that say how good they are.
//
// L2-regularised logistic regression by L-BFGS (Liu and Nocedal 1989) over standardised dense
// features and sparse hashed ones; Platt scaling with his smoothed targets (1999); isotonic
// regression by pool adjacent violators; AUROC by mid-ranks; thresholds by conformal risk control
// (Angelopoulos et al. 2022). Pure and deterministic: the same rows and options give the same
// numbers. Held by tests/policies/estimators/fit_test.cc.

#ifndef NEARFAR_POLICIES_ESTIMATORS_FIT_H_
#define NEARFAR_POLICIES_ESTIMATORS_FIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "policies/estimators/calibration.h"

namespace nearfar {

struct FitRow {
  std::vector<double> dense;                       // one value a feature
  std::vector<std::pair<uint32_t, float>> hashed;  // bucket, value
  double label = 0;                                // [0, 1]
};

struct LogisticOptions {
  // Weight of the squared standardised weights beside the mean log-loss times the rows.
  double l2_dense = 1;
  double l2_hashed = 4;
  int hash_bits = 0;  // 0 = the hashed part of the rows is ignored
  int max_iterations = 200;
};

// `features` names the dense columns. Rows must not be empty; a column that never varies gets
// weight 0. The head has no Platt or isotonic part.
LogisticHead FitLogistic(absl::Span<const FitRow> rows, const std::vector<std::string>& features,
                         const LogisticOptions& options);

// A fold in [0, folds) for each row, such that rows of one group share a fold and the folds are
// about equally large.
std::vector<int> GroupFolds(absl::Span<const std::string> groups, int folds, uint64_t seed);

// Logits of each row by a head that was fitted on the other folds.
std::vector<double> CrossLogits(absl::Span<const FitRow> rows, absl::Span<const int> fold_of,
                                const std::vector<std::string>& features,
                                const LogisticOptions& options);

// a, b of sigmoid(a * logit + b).
std::pair<double, double> FitPlatt(absl::Span<const double> logits,
                                   absl::Span<const double> labels);

// The non-decreasing steps through (score, label), as points of a line with rising x, whatever the
// order of the rows: equal scores are one point. y is clamped to [1 / (n + 2), 1 - 1 / (n + 2)].
struct Isotonic {
  std::vector<double> x, y;
};
Isotonic FitIsotonic(absl::Span<const double> scores, absl::Span<const double> labels);

// P(score of a random right one > score of a random wrong one), ties half; 0.5 with one class only.
// A label of 0.5 or more is right.
double Auroc(absl::Span<const double> scores, absl::Span<const double> labels);
// Expected calibration error over bins of equal mass.
double Ece(absl::Span<const double> probabilities, absl::Span<const double> labels, int bins);
double Brier(absl::Span<const double> probabilities, absl::Span<const double> labels);

// The lowest threshold t on the probability such that accepting all with p >= t keeps
// (sum over groups of R_g + 1) / (groups + 1) <= max_wrong_accepted, R_g being the share of group
// g's rows that are accepted and wrong. Rows of one group are alike (questions of one template), so
// it is the groups that are exchangeable: on a new one E[accepted and wrong] <= max_wrong_accepted.
// That is exact for probabilities by a head that saw none of the groups; for cross-fitted ones,
// each by the head of the other folds, it is approximate. Empty where no threshold keeps it, always
// so for fewer than 1 / max_wrong_accepted - 1 groups.
std::optional<double> RiskThreshold(absl::Span<const double> probabilities,
                                    absl::Span<const double> labels,
                                    absl::Span<const std::string> groups,
                                    double max_wrong_accepted);

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_ESTIMATORS_FIT_H_
