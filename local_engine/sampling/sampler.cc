// See sampler.h. Nothing here depends on the machine: the generator and e^x are our own, sums run
// in a fixed order, ties go to the lower id, and this file is compiled without fused multiply-adds.

#include "local_engine/sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"

namespace nearfar {
namespace {

// A token e^40 times less likely than the best is never drawn: 2^17 of them together would weigh
// 1e-12. Leaving them out keeps the candidates few at low temperatures.
constexpr double kNegligible = -40;

// e^x for x <= 0 from IEEE operations alone: x = n ln 2 + r, a Taylor series for r (|r| <= 0.35, so
// 14 terms leave 1e-17), and an exact scaling by 2^n.
double Exp(double x) {
  if (x < -700) return 0;
  const double n = std::floor(x * 1.4426950408889634 + 0.5);
  const double r = (x - n * 0.69314718036912382) - n * 1.9082149292705877e-10;
  double sum = 1;
  for (int k = 14; k > 0; --k) sum = 1 + sum * r / k;
  return std::ldexp(sum, static_cast<int>(n));
}

absl::Status OutOfRange(const char* option, double value, const char* range) {
  return absl::InvalidArgumentError(absl::StrCat(option, " is ", value, ", must be ", range));
}

// The logits of tokens seen lately move towards "unlikely": divided if positive, else multiplied
// (Keskar et al. 2019, CTRL, with the sign repaired). Each token once.
void PenaliseRepetition(absl::Span<const int32_t> history, const SamplingOptions& options,
                        std::vector<float>* logits) {
  const size_t window = std::min<size_t>(history.size(), options.repetition_window);
  std::vector<int32_t> seen(history.end() - window, history.end());
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (const int32_t id : seen) {
    if (id < 0 || static_cast<size_t>(id) >= logits->size()) continue;
    float& logit = (*logits)[id];
    logit = logit > 0 ? logit / options.repetition_penalty : logit * options.repetition_penalty;
  }
}

// Orders ids from likely to unlikely; no two are equal.
struct Likelier {
  absl::Span<const float> logits;
  bool operator()(int32_t a, int32_t b) const {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  }
};

// Gives candidates from the most likely on, taking only as many out of a heap as are asked for.
class Ranking {
 public:
  Ranking(absl::Span<const float> logits, std::vector<int32_t>* ids)
      : ids_(*ids), less_{Likelier{logits}}, left_(ids->size()) {
    std::make_heap(ids_.begin(), ids_.end(), less_);
  }

  size_t size() const { return ids_.size(); }
  int32_t At(size_t rank) {
    while (ids_.size() - left_ <= rank) {
      std::pop_heap(ids_.begin(), ids_.begin() + left_, less_);
      --left_;
    }
    return ids_[ids_.size() - 1 - rank];
  }

 private:
  struct Less {
    Likelier likelier;
    bool operator()(int32_t a, int32_t b) const { return likelier(b, a); }
  };

  std::vector<int32_t>& ids_;
  Less less_;
  size_t left_;  // still in the heap
};

// The k most likely, in the order of their ids.
void KeepTop(size_t k, absl::Span<const float> logits, std::vector<int32_t>* ids) {
  if (k == 0 || k >= ids->size()) return;
  std::nth_element(ids->begin(), ids->begin() + k, ids->end(), Likelier{logits});
  ids->resize(k);
  std::sort(ids->begin(), ids->end());
}

}  // namespace

absl::Status CheckSamplingOptions(const SamplingOptions& o) {
  // Written so that NaN fails each of them.
  if (!(o.temperature >= 0 && std::isfinite(o.temperature))) {
    return OutOfRange("temperature", o.temperature, "0 (greedy) or a positive number");
  }
  if (o.top_k < 0) return OutOfRange("top_k", o.top_k, "0 (off) or positive");
  if (!(o.top_p > 0 && o.top_p <= 1)) return OutOfRange("top_p", o.top_p, "above 0 and at most 1");
  if (!(o.min_p >= 0 && o.min_p < 1)) return OutOfRange("min_p", o.min_p, "at least 0 and below 1");
  if (!(o.repetition_penalty > 0 && std::isfinite(o.repetition_penalty))) {
    return OutOfRange("repetition_penalty", o.repetition_penalty, "a positive number (1 = off)");
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
  if (options_.repetition_penalty != 1) {
    scaled_.assign(logits.begin(), logits.end());
    PenaliseRepetition(history, options_, &scaled_);
    logits = scaled_;
    best = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  if (options_.temperature == 0) return best;
  return Draw(logits, logits[best]);
}

int32_t Sampler::Draw(absl::Span<const float> logits, double largest) {
  // Relative to the best token's, so that the best one weighs 1.
  const auto exponent = [&](int32_t id) { return (logits[id] - largest) / options_.temperature; };
  order_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (exponent(static_cast<int32_t>(i)) >= kNegligible) order_.push_back(static_cast<int32_t>(i));
  }
  KeepTop(options_.top_k, logits, &order_);
  double total = 0;
  for (const int32_t id : order_) total += Exp(exponent(id));

  Ranking ranking(logits, &order_);
  size_t kept = ranking.size();
  double mass = total;
  if (options_.top_p < 1 || options_.min_p > 0) {
    kept = 0;
    mass = 0;
    while (kept < ranking.size() && mass < options_.top_p * total) {
      const double weight = Exp(exponent(ranking.At(kept)));
      if (weight < options_.min_p) break;
      mass += weight;
      ++kept;
    }
  }

  double rest = NextUniform() * mass;
  size_t rank = 0;
  for (; rank + 1 < kept; ++rank) {
    rest -= Exp(exponent(ranking.At(rank)));
    if (rest < 0) break;
  }
  return ranking.At(rank);
}

}  // namespace nearfar
