// The statistics of all logits at once, for tests that have them in one piece.

#ifndef NEARFAR_TESTS_TESTING_LOGIT_STATS_H_
#define NEARFAR_TESTS_TESTING_LOGIT_STATS_H_

#include <vector>

#include "absl/types/span.h"
#include "local_engine/sampling/token_stats.h"

namespace nearfar::testing {

inline LogitStats StatsOf(absl::Span<const float> logits) {
  std::vector<LogitBlock> blocks;
  for (size_t begin = 0; begin < logits.size(); begin += kLogitBlock) {
    blocks.push_back(ComputeLogitBlock(logits.subspan(begin, kLogitBlock)));
  }
  return FoldLogitBlocks(blocks, logits);
}

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_LOGIT_STATS_H_
