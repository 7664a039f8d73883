// Weighted least-squares fits of a short run of weights to an integer grid; how the K formats
// choose the scale and offset of a sub-block.
//
// Both searches alternate: for a trial step the weights are rounded to the grid, then the scale
// (and offset) that is best for exactly those integers follows in closed form; the trial with the
// least weighted squared error wins. Errors on large weights cost more, because a large weight
// meets the activations that matter as often as a small one and moves the sum further. Internal to
// local_engine/quant/. Held by tests/local_engine/quant/formats_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_QUANT_FIT_H_
#define NEARFAR_LOCAL_ENGINE_QUANT_FIT_H_

namespace nearfar {

// Importance of each of n <= 32 weights: their root mean square plus their own magnitude.
void Importance(const float* x, int n, float* importance);

// x[i] ~ scale * q[i] - offset with q in 0..levels, scale >= 0, offset >= 0.
struct AffineFit {
  float scale;
  float offset;
};
AffineFit FitAffine(const float* x, const float* importance, int n, int levels);

// Returns scale for x[i] ~ scale * q[i] with q in -levels..levels - 1; any sign.
float FitSymmetric(const float* x, const float* importance, int n, int levels);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_QUANT_FIT_H_
