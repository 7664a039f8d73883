// Fits a calibration from outcomes: the prompt heads, the draft head, the prefix head, the length
// model and the risk thresholds, and says how good they are on questions that they did not see.
//
// Folds are made of whole templates: a question is never judged by a head that saw its template.
// A head whose held-out AUROC stays below 0.6 is left out of the calibration. Heads of drafts are
// not fitted on what tells of the request's limit of tokens: outcomes are collected under another
// one. Risk thresholds take the templates for the unit that is exchangeable, and are approximate:
// each question is judged by a head of the other folds, not by the one that ships. A bound that no
// threshold keeps has no entry. Held by tests/router/tuning/calibrate_test.cc.

#ifndef NEARFAR_ROUTER_TUNING_CALIBRATE_H_
#define NEARFAR_ROUTER_TUNING_CALIBRATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "policies/estimators/calibration.h"
#include "router/tuning/outcome.h"
#include "router/tuning/question.h"

namespace nearfar {

struct CalibrateOptions {
  std::string name;             // of the calibration
  std::string command;          // written into the file, so that anyone can fit it again
  ModelBinding binding;         // of the near model
  std::string far_fingerprint;  // of the far model, where known
  int folds = 5;
  uint64_t seed = 7;
};

// A score against outcomes, on held-out questions.
struct HeldOut {
  std::string name;  // "draft head", "mean logprob", "prompt length", ...
  double auroc = 0.5;
  double ece = 0;  // 10 bins of equal mass; 0 for a score that is no probability
  double brier = 0;
  bool probability = false;
};

struct CalibrateResult {
  Calibration calibration;
  int questions = 0;
  double near_right = 0, far_right = 0;  // shares
  std::vector<HeldOut> held_out;
};

// Errors: InvalidArgument (an outcome without its question, features of another version or not
// finite, fewer than 100 outcomes or only one class), each naming the id or the count.
absl::StatusOr<CalibrateResult> FitCalibration(const std::vector<Question>& questions,
                                               const std::vector<Outcome>& outcomes,
                                               const CalibrateOptions& options);

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_TUNING_CALIBRATE_H_
