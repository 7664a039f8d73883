// What came of a question: both sides' grades and the near draft's features. One JSON object a
// line:
//   {"id", "kind"?, "template"?, "level"?,
//    "near": {"score", "usd", "seconds", "tokens", "kv_type"?, "features": [...],
//             "prefixes": [[...], ...]},
//    "far": {"name", "score", "usd", "seconds", "tokens"}}
// "features" follow DraftFeatureNames() of the stated "feature_version"; "prefixes" are the same
// after every few tokens. "kv_type" is how the engine kept keys and values, absent for f16.
// No question or answer text stands in it, so it may be checked in.
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
  std::string kv_type = "f16";                // near only
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

// The near engine's type of keys and values in all of `outcomes`. Errors: InvalidArgument (there
// are two, and a calibration is of one).
absl::StatusOr<std::string> KvTypeOfOutcomes(const std::vector<Outcome>& outcomes);

std::string FormatOutcome(const Outcome& outcome, bool with_text);
// Errors: NotFound; InvalidArgument "file:line: field: what is wrong".
absl::StatusOr<std::vector<Outcome>> LoadOutcomes(const std::string& path);

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_TUNING_OUTCOME_H_
