// See sampler.h. Nothing here depends on the machine: the generator and e^x are our own, sums run
// in a fixed order, ties go to the lower id, and this file is compiled without fused multiply-adds.

#include "local_engine/sampling/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "local_engine/sampling/exp.h"

namespace nearfar {
namespace {

// A token e^40 times less likely than the best is never drawn: 2^17 of them together would weigh
// 1e-12. Leaving them out keeps the candidates few at low temperatures.
constexpr float kNegligible = -40;

absl::Status OutOfRange(const char* option, double value, absl::string_view range) {
  return absl::InvalidArgumentError(absl::StrCat(option, " is ", value, ", must be ", range));
}

// Towards "unlikely": divided if positive, else multiplied (Keskar et al. 2019, CTRL, with the sign
// repaired). A logit stays finite: the difference of two infinite ones would be no number.
float Penalised(float logit, float penalty) {
  constexpr float kMost = std::numeric_limits<float>::max();
  return std::clamp(logit > 0 ? logit / penalty : logit * penalty, -kMost, kMost);
}

// Penalises the tokens seen lately. What is written comes from `logits`, so that a token seen
// twice is penalised once.
void PenaliseRepetition(absl::Span<const float> logits, absl::Span<const int32_t> history,
                        const SamplingOptions& options, std::vector<float>* penalised) {
  penalised->assign(logits.begin(), logits.end());
  const size_t window = std::min<size_t>(history.size(), options.repetition_window);
  for (const int32_t id : history.last(window)) {
    if (id < 0 || static_cast<size_t>(id) >= logits.size()) continue;
    (*penalised)[id] = Penalised(logits[id], options.repetition_penalty);
  }
}

// A candidate in one number, so that sorting is fast: how far its exponent is below the best
// token's (a float that is not negative, whose bits are ordered as its value) above its id. The
// smaller, the likelier; on a tie the lower id comes first.
uint64_t Candidate(float exponent, size_t id) {
  return static_cast<uint64_t>(std::bit_cast<uint32_t>(std::fabs(exponent))) << 32 | id;
}
int32_t IdOf(uint64_t candidate) { return static_cast<int32_t>(candidate & 0xffffffff); }
// Relative to the best token, which weighs 1.
double WeightOf(uint64_t candidate) {
  return ExpOfNonPositive(-std::bit_cast<float>(static_cast<uint32_t>(candidate >> 32)));
}

// Gives candidates from the likeliest on, taking only as many out of a heap as are asked for.
class Ranking {
 public:
  explicit Ranking(std::vector<uint64_t>* candidates)
      : candidates_(*candidates), left_(candidates->size()) {
    std::make_heap(candidates_.begin(), candidates_.end(), std::greater<>());
  }

  size_t size() const { return candidates_.size(); }
  uint64_t At(size_t rank) {
    for (; size() - left_ <= rank; --left_) {
      std::pop_heap(candidates_.begin(), candidates_.begin() + left_, std::greater<>());
    }
    return candidates_[size() - 1 - rank];
  }

 private:
  std::vector<uint64_t>& candidates_;
  size_t left_;  // still in the heap
};

}  // namespace

absl::Status CheckSamplingOptions(const SamplingOptions& o) {
  // Written so that NaN fails each of them.
  if (!(o.temperature >= 0 && std::isfinite(o.temperature))) {
    return OutOfRange("temperature", o.temperature, "0 (greedy) or a positive number");
  }
  if (o.top_k < 0) return OutOfRange("top_k", o.top_k, "0 (off) or positive");
  if (!(o.top_p > 0 && o.top_p <= 1)) return OutOfRange("top_p", o.top_p, "above 0 and at most 1");
  if (!(o.min_p >= 0 && o.min_p < 1)) return OutOfRange("min_p", o.min_p, "at least 0 and below 1");
  if (!(o.repetition_penalty >= kLeastRepetitionPenalty &&
        o.repetition_penalty <= kMostRepetitionPenalty)) {
    return OutOfRange(
        "repetition_penalty", o.repetition_penalty,
        absl::StrCat("in [", kLeastRepetitionPenalty, ", ", kMostRepetitionPenalty, "] (1 = off)"));
  }
  if (o.repetition_window < 0) {
    return OutOfRange("repetition_window", o.repetition_window, "0 or positive");
  }
  return absl::OkStatus();
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), state_(options.seed) {}

// SplitMix64 (Steele, Lea and Flood 2014), 53 bits of it: in [0, 1).
double Sampler::NextUniform() {
  state_ += 0x9e3779b97f4a7c15;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

int32_t Sampler::Pick(absl::Span<const float> logits, const LogitStats& stats,
                      absl::Span<const int32_t> history) {
  int32_t best = stats.best;
  const bool penalty = options_.repetition_penalty != 1;
  if (options_.temperature == 0 && !penalty) return best;
  if (penalty) {
    PenaliseRepetition(logits, history, options_, &penalised_);
    best = static_cast<int32_t>(std::max_element(penalised_.begin(), penalised_.end()) -
                                penalised_.begin());
  }
  if (options_.temperature == 0) return best;
  Collect(penalty ? absl::MakeConstSpan(penalised_) : logits, best);
  if (candidates_.empty()) return best;  // the best logit is no number: there is no distribution
  KeepTopK();
  return Draw();
}

void Sampler::Collect(absl::Span<const float> logits, int32_t best) {
  const float largest = logits[best];
  candidates_.resize(logits.size());
  size_t candidates = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    // Written always, counted sometimes: a branch would be guessed wrong too often.
    const float exponent = (logits[i] - largest) / options_.temperature;
    candidates_[candidates] = Candidate(exponent, i);
    candidates += exponent >= kNegligible ? 1 : 0;
  }
  candidates_.resize(candidates);
}

void Sampler::KeepTopK() {
  const size_t k = options_.top_k;
  if (k == 0 || k >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + k, candidates_.end());
  candidates_.resize(k);
  // The sums that follow must not depend on how the library partitions.
  std::sort(candidates_.begin(), candidates_.end());
}

int32_t Sampler::Draw() {
  double total = 0;
  for (const uint64_t candidate : candidates_) total += WeightOf(candidate);

  Ranking ranking(&candidates_);
  size_t kept = ranking.size();
  double mass = total;
  if (options_.top_p < 1 || options_.min_p > 0) {
    kept = 0;
    mass = 0;
    while (kept < ranking.size() && mass < options_.top_p * total) {
      const double weight = WeightOf(ranking.At(kept));
      if (weight < options_.min_p) break;
      mass += weight;
      ++kept;
    }
  }

  double rest = NextUniform() * mass;
  size_t rank = 0;
  for (; rank + 1 < kept; ++rank) {
    rest -= WeightOf(ranking.At(rank));
    if (rest < 0) break;
  }
  return IdOf(ranking.At(rank));
}

}  // namespace nearfar
