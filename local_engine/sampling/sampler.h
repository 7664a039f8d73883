// Picks the next token: repetition penalty, then temperature, top-k, top-p, min-p, then a draw.
// Held by tests/local_engine/sampling/sampler_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_SAMPLING_SAMPLER_H_
#define NEARFAR_LOCAL_ENGINE_SAMPLING_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "local_engine/sampling/token_stats.h"
#include "local_engine/sampling_options.h"

namespace nearfar {

// InvalidArgument names the option that is outside its range (NaN included).
absl::Status CheckSamplingOptions(const SamplingOptions& options);

// One caller at a time; one sampler a generation. The same seed, options and logits give the same
// tokens on every machine.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);

  // The next id. `stats` are those of `logits`; `history` is the prompt and what was generated.
  int32_t Pick(absl::Span<const float> logits, const LogitStats& stats,
               absl::Span<const int32_t> history);

 private:
  double NextUniform();
  // Makes candidates of the tokens that are not negligible beside the best.
  void Collect(absl::Span<const float> logits, int32_t best);
  void KeepTopK();
  // Draws from the candidates after top-p and min-p.
  int32_t Draw();

  SamplingOptions options_;
  uint64_t state_;
  std::vector<uint64_t> candidates_;  // see sampler.cc
  std::vector<float> penalised_;      // logits after the repetition penalty
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_SAMPLING_SAMPLER_H_
