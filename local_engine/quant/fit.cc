// The searches behind the K formats' encoders. Held by tests/local_engine/quant/formats_test.cc.

#include "local_engine/quant/fit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "local_engine/quant/block_format.h"

namespace nearfar {
namespace {

// Sums of a weighted regression of x on the integers q.
struct Moments {
  double w = 0, q = 0, qq = 0, x = 0, xq = 0;

  void Add(double weight, double quant, double value) {
    w += weight;
    q += weight * quant;
    qq += weight * quant * quant;
    x += weight * value;
    xq += weight * value * quant;
  }
};

// The best scale and offset for given integers, the offset held at >= 0.
AffineFit Solve(const Moments& sums) {
  const double determinant = sums.w * sums.qq - sums.q * sums.q;
  if (determinant > 0) {
    const double scale = (sums.w * sums.xq - sums.x * sums.q) / determinant;
    const double offset = (sums.q * sums.xq - sums.qq * sums.x) / determinant;
    if (offset >= 0) return {static_cast<float>(std::max(scale, 0.0)), static_cast<float>(offset)};
  }
  const double scale = sums.qq > 0 ? sums.xq / sums.qq : 0;
  return {static_cast<float>(std::max(scale, 0.0)), 0};
}

double AffineError(const float* x, const float* importance, int n, int levels, AffineFit fit) {
  const float inverse = InverseOrZero(fit.scale);
  double error = 0;
  for (int i = 0; i < n; ++i) {
    const int q = RoundInto((x[i] + fit.offset) * inverse, 0, levels);
    const double miss = static_cast<double>(fit.scale) * q - fit.offset - x[i];
    error += importance[i] * miss * miss;
  }
  return error;
}

// Rounds to the grid of `fit`, then solves for those integers.
AffineFit Refit(const float* x, const float* importance, int n, int levels, AffineFit fit) {
  const float inverse = InverseOrZero(fit.scale);
  Moments sums;
  for (int i = 0; i < n; ++i) {
    sums.Add(importance[i], RoundInto((x[i] + fit.offset) * inverse, 0, levels), x[i]);
  }
  return Solve(sums);
}

double SymmetricError(const float* x, const float* importance, int n, int levels, float scale) {
  const float inverse = InverseOrZero(scale);
  double error = 0;
  for (int i = 0; i < n; ++i) {
    const double miss =
        static_cast<double>(scale) * RoundInto(x[i] * inverse, -levels, levels - 1) - x[i];
    error += importance[i] * miss * miss;
  }
  return error;
}

float SymmetricRefit(const float* x, const float* importance, int n, int levels, float scale) {
  const float inverse = InverseOrZero(scale);
  Moments sums;
  for (int i = 0; i < n; ++i) {
    sums.Add(importance[i], RoundInto(x[i] * inverse, -levels, levels - 1), x[i]);
  }
  return sums.qq > 0 ? static_cast<float>(sums.xq / sums.qq) : 0;
}

}  // namespace

void Importance(const float* x, int n, float* importance) {
  double squares = 0;
  for (int i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const float rms = static_cast<float>(std::sqrt(squares / n));
  for (int i = 0; i < n; ++i) importance[i] = rms + std::fabs(x[i]);
}

AffineFit FitAffine(const float* x, const float* importance, int n, int levels) {
  const float low = std::min(0.0f, *std::min_element(x, x + n));
  const float high = *std::max_element(x, x + n);
  if (high <= low) return {0, -low};
  AffineFit best = {0, -low};
  double best_error = std::numeric_limits<double>::infinity();
  // Steps of levels - 1 .. levels + 1 in twentieths: clipping an outlier may pay, and so may a grid
  // that is a little too wide.
  for (int trial = -20; trial <= 20; ++trial) {
    const float step =
        (high - low) / (static_cast<float>(levels) + 0.05f * static_cast<float>(trial));
    AffineFit fit = {step, -low};
    for (int round = 0; round < 2; ++round) fit = Refit(x, importance, n, levels, fit);
    const double error = AffineError(x, importance, n, levels, fit);
    if (error < best_error) {
      best_error = error;
      best = fit;
    }
  }
  return best;
}

float FitSymmetric(const float* x, const float* importance, int n, int levels) {
  const float peak = SignedPeak(x, n);
  if (peak == 0) return 0;
  float best = 0;
  double best_error = std::numeric_limits<double>::infinity();
  for (int trial = -18; trial <= 18; ++trial) {
    // The peak at -levels: the grid is one step longer on that side.
    float scale = -peak / (static_cast<float>(levels) + 0.1f * static_cast<float>(trial));
    scale = SymmetricRefit(x, importance, n, levels, scale);
    const double error = SymmetricError(x, importance, n, levels, scale);
    if (error < best_error) {
      best_error = error;
      best = scale;
    }
  }
  return best;
}

}  // namespace nearfar
