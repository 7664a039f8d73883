// One pass in blocks: a block's largest logit, then its sums of e^y and y e^y for y = z - largest
// so far. When a later block raises the largest logit, the sums are moved to it. The loops are
// written over a fixed number of lanes, which compilers turn into vector code for any instruction
// set.

#include "local_engine/sampling/token_stats.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

namespace nearfar {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kBlock = 64 * kLanes;
// e^-87 is the smallest power that is a normal float; against a sum of at least 1 it is nothing.
constexpr float kLowest = -87.0f;

// e^x for kLowest <= x <= 0, relative error below 3e-7: 2^n times a polynomial for the rest, which
// is at most ln(2)/2 away from 0.
inline float Exp(float x) {
  const int n = static_cast<int>(x * 1.44269504f - 0.5f);
  const float r =
      (x - static_cast<float>(n) * 0.693145752f) - static_cast<float>(n) * 1.42860677e-6f;
  float p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * std::bit_cast<float>((n + 127) << 23);
}

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

inline void AddTerm(float z, float largest, float* e_sum, float* ye_sum) {
  const float y = std::max(z - largest, kLowest);
  const float e = Exp(y);
  *e_sum += e;
  *ye_sum += y * e;
}

Sums SumBlock(const float* z, size_t n, float largest) {
  float e[kLanes] = {};
  float ye[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) AddTerm(z[i + j], largest, &e[j], &ye[j]);
  }
  for (; i < n; ++i) AddTerm(z[i], largest, &e[0], &ye[0]);
  Sums sums;
  for (size_t j = 0; j < kLanes; ++j) {
    sums.e += e[j];
    sums.ye += ye[j];
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
