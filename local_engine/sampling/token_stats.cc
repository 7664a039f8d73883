// A block's largest logit, then its sums of e^y and y e^y for y = z - largest. Blocks are folded by
// moving the sums of each to the largest logit of all. Where the two largest are is looked up at
// the end: the second is the largest of its block too, or in the block of the first. The loops are
// written over a fixed number of lanes, which compilers turn into vector code for any instruction
// set.

#include "local_engine/sampling/token_stats.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

#include "local_engine/sampling/exp.h"

namespace nearfar {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kBlock = kLogitBlock;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Sums {
  double e = 0;   // sum of e^y
  double ye = 0;  // sum of y e^y
};

// On the bits: an exponent of all ones is infinite or NaN. Without a branch, so that the compiler
// can use vectors.
bool AllFinite(absl::Span<const float> z) {
  constexpr int32_t kMagnitude = 0x7fffffff;
  constexpr int32_t kExponent = 0x7f800000;
  int32_t largest = 0;
  for (const float value : z) {
    largest = std::max(largest, std::bit_cast<int32_t>(value) & kMagnitude);
  }
  return largest < kExponent;
}

float Largest(absl::Span<const float> z) {
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, -kInfinity);
  size_t i = 0;
  for (; i + kLanes <= z.size(); i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) lanes[j] = z[i + j] > lanes[j] ? z[i + j] : lanes[j];
  }
  for (; i < z.size(); ++i) lanes[0] = std::max(lanes[0], z[i]);
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

// Index of the largest logit of a block but for the one at `other`; earlier ones win ties.
int32_t LargestBut(int32_t other, size_t block, absl::Span<const float> logits) {
  const int32_t begin = static_cast<int32_t>(block * kBlock);
  const int32_t end = static_cast<int32_t>(std::min((block + 1) * kBlock, logits.size()));
  int32_t best = -1;
  for (int32_t i = begin; i < end; ++i) {
    if (i != other && (best < 0 || logits[i] > logits[best])) best = i;
  }
  return best;
}

// Writes where the two largest are, and how large.
void TakeBest(absl::Span<const LogitBlock> blocks, absl::Span<const float> logits,
              LogitStats* stats) {
  const auto lower = [](const LogitBlock& a, const LogitBlock& b) { return a.best < b.best; };
  const size_t first = std::max_element(blocks.begin(), blocks.end(), lower) - blocks.begin();
  stats->best = LargestBut(-1, first, logits);
  stats->best_logit = logits[stats->best];
  stats->second_logit = -kInfinity;
  const int32_t beside = LargestBut(stats->best, first, logits);
  size_t second = first;
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i == first && beside < 0) continue;  // a block of one
    const float best = i == first ? logits[beside] : blocks[i].best;
    if (best <= stats->second_logit) continue;
    stats->second_logit = best;
    second = i;
  }
  if (logits.size() > 1) stats->second = LargestBut(stats->best, second, logits);
}

}  // namespace

LogitBlock ComputeLogitBlock(absl::Span<const float> logits) {
  assert(!logits.empty() && logits.size() <= kBlock);
  const float best = Largest(logits);
  const Sums sums = SumBlock(logits.data(), logits.size(), best);
  return {best, sums.e, sums.ye, AllFinite(logits)};
}

LogitStats FoldLogitBlocks(absl::Span<const LogitBlock> blocks, absl::Span<const float> logits) {
  assert(!logits.empty() && blocks.size() == static_cast<size_t>(LogitBlocks(logits.size())));
  LogitStats stats;
  for (const LogitBlock& block : blocks) stats.finite = stats.finite && block.finite;
  if (!stats.finite) return stats;
  TakeBest(blocks, logits, &stats);
  Sums sums;
  for (const LogitBlock& block : blocks) {
    const double rise = static_cast<double>(stats.best_logit) - block.best;
    const Sums moved = Shift({block.e, block.ye}, rise);
    sums.e += moved.e;
    sums.ye += moved.ye;
  }
  stats.log_sum_exp = stats.best_logit + std::log(sums.e);
  stats.entropy = std::max(0.0, std::log(sums.e) - sums.ye / sums.e);
  const double gap = static_cast<double>(stats.second_logit) - stats.best_logit;
  stats.margin = (1 - std::exp(gap)) / sums.e;
  return stats;
}

}  // namespace nearfar
