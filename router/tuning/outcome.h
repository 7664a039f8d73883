// What came of a question: both sides' grades and the near draft's features. One JSON object a
// line:
//   {"id", "kind"?, "template"?, "level"?,
//    "near": {"score", "usd", "seconds", "tokens", "features": [...], "prefixes": [[...], ...]},
//    "far": {"name", "score", "usd", "seconds", "tokens"}}
// "features" follow DraftFeatureNames() of the stated "feature_version"; "prefixes" are the same
// after every few tokens. No question or answer text stands in it, so it may be checked in.
// Held by tests/router/tuning/outcome_test.cc.

#ifndef NEARFAR_ROUTER_TUNING_OUTCOME_H_
#define NEARFAR_ROUTER_TUNING_OUTCOME_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace nearfar {

struct SideOutcome {
  std::string name;  // of the model
  double score = 0;  // [0, 1]
  double usd = 0;
  double seconds = 0;
  int tokens = 0;
  std::vector<double> features;               // near only
  std::vector<std::vector<double>> prefixes;  // near only
  std::string text;                           // the reply; kept in memory, written only on request
};

struct Outcome {
  std::string id, kind, template_name;
  int level = 0;
  int feature_version = 0;
  std::optional<SideOutcome> near, far;
};

std::string FormatOutcome(const Outcome& outcome, bool with_text);
// Errors: NotFound; InvalidArgument "file:line: field: what is wrong".
absl::StatusOr<std::vector<Outcome>> LoadOutcomes(const std::string& path);

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_TUNING_OUTCOME_H_
