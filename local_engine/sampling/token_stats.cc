// One pass in blocks: a block's largest logit, then its sums of e^y and y e^y for y = z - largest
// so far. When a later block raises the largest logit, the sums are moved to it. The loops are
// written over a fixed number of lanes, which compilers turn into vector code for any instruction
// set.

#include "local_engine/sampling/token_stats.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "local_engine/sampling/exp.h"

namespace nearfar {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kBlock = 64 * kLanes;
struct Sums {
  double e = 0;   // sum of e^y
  double ye = 0;  // sum of y e^y
};

float Largest(const float* z, size_t n) {
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, -std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) lanes[j] = z[i + j] > lanes[j] ? z[i + j] : lanes[j];
  }
  for (; i < n; ++i) lanes[0] = std::max(lanes[0], z[i]);
  return *std::max_element(lanes, lanes + kLanes);
}

Sums SumBlock(const float* z, size_t n, float largest) {
  assert(n <= kBlock);
  // What is past the end weighs e^-87.
  float y[kBlock];
  std::fill(y + n / kLanes * kLanes, y + kBlock, kLowestExponent);
  for (size_t i = 0; i < n; ++i) {
    const float rest = z[i] - largest;
    y[i] = rest > kLowestExponent ? rest : kLowestExponent;
  }
  float e_sums[kLanes] = {};
  float ye_sums[kLanes] = {};
  for (size_t i = 0; i < n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) {
      const float e = ExpOfNonPositive(y[i + j]);
      e_sums[j] += e;
      ye_sums[j] += y[i + j] * e;
    }
  }
  Sums sums;
  for (size_t j = 0; j < kLanes; ++j) {
    sums.e += e_sums[j];
    sums.ye += ye_sums[j];
  }
  return sums;
}

// The same sums with y measured from a largest logit that is `rise` higher.
Sums Shift(const Sums& sums, double rise) {
  const double scale = std::exp(-rise);
  if (scale == 0) return {};
  return {sums.e * scale, (sums.ye - rise * sums.e) * scale};
}

// Takes the two largest of the block into `stats`; earlier indices win ties.
void TakeBest(const float* z, size_t begin, size_t end, LogitStats* stats) {
  for (size_t i = begin; i < end; ++i) {
    if (z[i] > stats->best_logit) {
      stats->second = stats->best;
      stats->second_logit = stats->best_logit;
      stats->best = static_cast<int32_t>(i);
      stats->best_logit = z[i];
    } else if (z[i] > stats->second_logit) {
      stats->second = static_cast<int32_t>(i);
      stats->second_logit = z[i];
    }
  }
}

}  // namespace

LogitStats ComputeLogitStats(absl::Span<const float> logits) {
  assert(!logits.empty());
  LogitStats stats;
  stats.best_logit = stats.second_logit = -std::numeric_limits<float>::infinity();
  Sums sums;
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const size_t end = std::min(begin + kBlock, logits.size());
    const float before = stats.best_logit;
    if (Largest(&logits[begin], end - begin) > stats.second_logit) {
      TakeBest(logits.data(), begin, end, &stats);
    }
    const float largest = stats.best_logit;
    if (begin > 0 && largest > before) sums = Shift(sums, static_cast<double>(largest) - before);
    const Sums block = SumBlock(&logits[begin], end - begin, largest);
    sums.e += block.e;
    sums.ye += block.ye;
  }
  stats.log_sum_exp = stats.best_logit + std::log(sums.e);
  stats.entropy = std::max(0.0, std::log(sums.e) - sums.ye / sums.e);
  const double gap = static_cast<double>(stats.second_logit) - stats.best_logit;
  stats.margin = (1 - std::exp(gap)) / sums.e;
  return stats;
}

}  // namespace nearfar
