// Runs both sides on questions and grades them: the raw material of every calibration.
// Held by tests/router/tuning/collect_test.cc.

#ifndef NEARFAR_ROUTER_TUNING_COLLECT_H_
#define NEARFAR_ROUTER_TUNING_COLLECT_H_

#include <string>

#include "absl/status/statusor.h"
#include "router/backend.h"
#include "router/tuning/outcome.h"
#include "router/tuning/question.h"

namespace nearfar {

struct CollectOptions {
  int max_tokens = 64;
  int check_every_tokens = 8;  // how often a prefix is kept
  absl::Duration timeout = absl::Minutes(2);
};

// Asks one side one question, greedily, and waits for the answer. `with_features` fills features
// and prefixes from the token statistics that the side tells. Errors: the side's own.
absl::StatusOr<SideOutcome> AskSide(Backend& side, const Question& question,
                                    const CollectOptions& options, bool with_features);

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_TUNING_COLLECT_H_
