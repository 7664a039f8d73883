#include "policies/estimators/draft_features.h"

#include <algorithm>
#include <cmath>

namespace nearfar {
namespace {

constexpr const char* kNames[] = {
    "logprob_mean",  "logprob_min",  "logprob_q10", "logprob_q20", "logprob_q50",
    "logprob_first", "window_min",   "window_last", "margin_mean", "margin_min",
    "entropy_first", "entropy_mean", "entropy_max", "log_tokens",  "tokens_of_limit",
    "hit_limit",     "repetition",   "digit_min",   "word_mean",   "finished",
};

constexpr double kWorstLogprob = -30;  // e^-30: nothing below it tells more
constexpr double kWorstEntropy = 20;   // ln of a vocabulary of 5e8

double Finite(double value, double worst) { return std::isfinite(value) ? value : worst; }

bool HasDigit(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// A letter or digit; all beyond ASCII counts as letters.
bool HasWord(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) {
    return c >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
  });
}

uint64_t TrigramKey(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t key = a * 0x9E3779B97F4A7C15u + b;
  key = (key ^ (key >> 29)) * 0xBF58476D1CE4E5B9u + c;
  return (key ^ (key >> 32)) * 0x94D049BB133111EBu;
}

}  // namespace

absl::Span<const char* const> DraftFeatureNames() { return kNames; }

void DraftFeatures::AddToWindow() {
  const size_t n = logprobs_.size();
  window_sum_ += logprobs_.back();
  if (n > kWindow) window_sum_ -= logprobs_[n - 1 - kWindow];
  // Until a window is full the mean so far stands for it: short answers have a lowest window, too.
  const double mean = window_sum_ / std::min<size_t>(n, kWindow);
  lowest_window_ = n <= kWindow ? mean : std::min(lowest_window_, mean);
}

void DraftFeatures::AddToRepetition(int id) {
  if (logprobs_.size() >= 3) {
    const uint64_t key = TrigramKey(static_cast<uint32_t>(ids_[0]), static_cast<uint32_t>(ids_[1]),
                                    static_cast<uint32_t>(id));
    if (!trigrams_.insert(key).second) ++repeated_trigrams_;
  }
  ids_[0] = ids_[1];
  ids_[1] = id;
}

void DraftFeatures::Add(int id, double logprob, double entropy, double margin,
                        std::string_view text) {
  logprob = std::max(Finite(logprob, kWorstLogprob), kWorstLogprob);
  entropy = std::min(Finite(entropy, kWorstEntropy), kWorstEntropy);
  margin = Finite(margin, 0);
  const bool first = logprobs_.empty();
  logprobs_.push_back(logprob);
  sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), logprob), logprob);
  logprob_sum_ += logprob;
  margin_sum_ += margin;
  margin_min_ = first ? margin : std::min(margin_min_, margin);
  if (first) entropy_first_ = entropy;
  entropy_sum_ += entropy;
  entropy_max_ = std::max(entropy_max_, entropy);
  if (HasDigit(text)) digit_min_ = std::min(digit_min_, logprob);
  if (HasWord(text)) word_sum_ += logprob, ++words_;
  AddToWindow();
  AddToRepetition(id);
}

double DraftFeatures::Quantile(double share) const {
  const double rank = share * static_cast<double>(sorted_.size() - 1);
  const size_t below = static_cast<size_t>(rank);
  const size_t above = std::min(below + 1, sorted_.size() - 1);
  return sorted_[below] + (rank - static_cast<double>(below)) * (sorted_[above] - sorted_[below]);
}

std::vector<double> DraftFeatures::Values(bool finished, bool hit_limit) const {
  const size_t n = logprobs_.size();
  if (n == 0) return std::vector<double>(std::size(kNames), 0.0);
  const double count = static_cast<double>(n);
  const double trigrams = n >= 3 ? count - 2 : 1;
  return {
      logprob_sum_ / count,
      sorted_.front(),
      Quantile(0.1),
      Quantile(0.2),
      Quantile(0.5),
      logprobs_.front(),
      lowest_window_,
      window_sum_ / std::min<double>(count, kWindow),
      margin_sum_ / count,
      margin_min_,
      entropy_first_,
      entropy_sum_ / count,
      entropy_max_,
      std::log1p(count),
      max_tokens_ > 0 ? count / max_tokens_ : 0.0,
      hit_limit ? 1.0 : 0.0,
      repeated_trigrams_ / trigrams,
      digit_min_,
      words_ > 0 ? word_sum_ / words_ : 0.0,
      finished ? 1.0 : 0.0,
  };
}

}  // namespace nearfar
