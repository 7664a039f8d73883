// How sure a distribution is: one pass over the logits.
// Held by tests/local_engine/sampling/token_stats_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_SAMPLING_TOKEN_STATS_H_
#define NEARFAR_LOCAL_ENGINE_SAMPLING_TOKEN_STATS_H_

#include <cstdint>

#include "absl/types/span.h"

namespace nearfar {

struct LogitStats {
  int32_t best = 0;  // index of the largest logit (lowest index on a tie)
  int32_t second = 0;
  float best_logit = 0;
  float second_logit = 0;  // -infinity, and second = 0, where there is but one token
  double log_sum_exp = 0;  // ln sum e^z
  double entropy = 0;      // nats: log_sum_exp - sum z e^(z - log_sum_exp)
  double margin = 0;       // p(best) - p(second)

  double Logprob(float logit) const { return logit - log_sum_exp; }
};

// logits: [vocabulary], at least one; all finite (the caller has checked).
LogitStats ComputeLogitStats(absl::Span<const float> logits);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_SAMPLING_TOKEN_STATS_H_
