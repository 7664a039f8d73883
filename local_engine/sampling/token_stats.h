// How sure a distribution is: one pass over the logits, block by block, so that each block can be
// taken by the thread that has just computed it. The blocks are fixed and folded in order: the
// statistics do not depend on the threads.
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
  bool finite = true;      // every logit is; where one is not, nothing else here is of use

  double Logprob(float logit) const { return logit - log_sum_exp; }
};

inline constexpr int64_t kLogitBlock = 512;
constexpr int64_t LogitBlocks(int64_t vocabulary) {
  return (vocabulary + kLogitBlock - 1) / kLogitBlock;
}

struct LogitBlock {
  float best;  // the largest
  double e;    // sum of e^y, y = z - best
  double ye;   // sum of y e^y
  bool finite;
};

// logits: of one block; only the last block of a vocabulary may have less than kLogitBlock.
LogitBlock ComputeLogitBlock(absl::Span<const float> logits);

// logits: [vocabulary], at least one; blocks: of them all, in order.
LogitStats FoldLogitBlocks(absl::Span<const LogitBlock> blocks, absl::Span<const float> logits);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_SAMPLING_TOKEN_STATS_H_
