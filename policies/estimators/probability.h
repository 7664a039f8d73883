// The few functions between probabilities and the real line that estimators, their fitting and the
// decisions share. Thread-safe. Held by tests/policies/estimators/probability_test.cc.

#ifndef NEARFAR_POLICIES_ESTIMATORS_PROBABILITY_H_
#define NEARFAR_POLICIES_ESTIMATORS_PROBABILITY_H_

#include <cmath>
#include <numbers>

namespace nearfar {

// ln(p / (1 - p)); p within (0, 1), at whose ends it is infinite.
inline double Logit(double p) { return std::log(p / (1 - p)); }

// The inverse of Logit, by whichever of its two forms cannot overflow.
inline double Sigmoid(double x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1 + e);
}

// P(a standard normal variable is below x).
inline double NormalBelow(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_ESTIMATORS_PROBABILITY_H_
