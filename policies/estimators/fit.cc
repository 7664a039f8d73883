#include "policies/estimators/fit.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <compare>
#include <deque>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <string_view>

#include "policies/estimators/probability.h"

namespace nearfar {
namespace {

// ln(1 + e^x) without overflow.
double Softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// Value at `at`, with its gradient.
using Objective =
    std::function<double(const std::vector<double>& at, std::vector<double>* gradient)>;

// L-BFGS with backtracking (Armijo). The objective is smooth and convex.
class Minimizer {
 public:
  Minimizer(Objective objective, size_t size) : objective_(std::move(objective)), at_(size, 0.0) {}

  std::vector<double> Run(int max_iterations) {
    std::vector<double> gradient(at_.size());
    double value = objective_(at_, &gradient);
    for (int i = 0; i < max_iterations && std::sqrt(Dot(gradient, gradient)) > 1e-6; ++i) {
      if (!Step(&value, &gradient)) break;
    }
    return at_;
  }

 private:
  static constexpr size_t kMemory = 12;
  struct Pair {
    std::vector<double> step, change;
    double inverse;  // 1 / (step . change)
  };

  std::vector<double> Direction(const std::vector<double>& gradient) const {
    std::vector<double> q = gradient;
    std::vector<double> alpha(pairs_.size());
    for (size_t i = pairs_.size(); i-- > 0;) {
      alpha[i] = pairs_[i].inverse * Dot(pairs_[i].step, q);
      for (size_t j = 0; j < q.size(); ++j) q[j] -= alpha[i] * pairs_[i].change[j];
    }
    if (!pairs_.empty()) {
      const Pair& last = pairs_.back();
      const double scale = 1 / (last.inverse * Dot(last.change, last.change));
      for (double& v : q) v *= scale;
    }
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const double beta = pairs_[i].inverse * Dot(pairs_[i].change, q);
      for (size_t j = 0; j < q.size(); ++j) q[j] += (alpha[i] - beta) * pairs_[i].step[j];
    }
    for (double& v : q) v = -v;
    return q;
  }

  bool Step(double* value, std::vector<double>* gradient) {
    const std::vector<double> direction = Direction(*gradient);
    const double slope = Dot(direction, *gradient);
    if (slope >= 0) return false;
    std::vector<double> next(at_.size()), next_gradient(at_.size());
    double length = pairs_.empty() ? 1 / std::sqrt(Dot(*gradient, *gradient)) : 1.0;
    for (int tries = 0; tries < 40; ++tries, length /= 2) {
      for (size_t j = 0; j < at_.size(); ++j) next[j] = at_[j] + length * direction[j];
      const double next_value = objective_(next, &next_gradient);
      if (next_value > *value + 1e-4 * length * slope) continue;
      Remember(next, next_gradient, *gradient);
      *value = next_value;
      at_ = next;
      *gradient = next_gradient;
      return true;
    }
    return false;
  }

  void Remember(const std::vector<double>& next, const std::vector<double>& next_gradient,
                const std::vector<double>& gradient) {
    Pair pair;
    for (size_t j = 0; j < at_.size(); ++j) {
      pair.step.push_back(next[j] - at_[j]);
      pair.change.push_back(next_gradient[j] - gradient[j]);
    }
    const double curvature = Dot(pair.step, pair.change);
    if (curvature <= 1e-12) return;
    pair.inverse = 1 / curvature;
    pairs_.push_back(std::move(pair));
    if (pairs_.size() > kMemory) pairs_.pop_front();
  }

  Objective objective_;
  std::vector<double> at_;
  std::deque<Pair> pairs_;
};

void Standardize(absl::Span<const FitRow> rows, LogisticHead* head) {
  const size_t columns = head->features.size();
  head->means.assign(columns, 0);
  head->scales.assign(columns, 0);
  for (const FitRow& row : rows) {
    for (size_t i = 0; i < columns; ++i) head->means[i] += row.dense[i] / rows.size();
  }
  for (const FitRow& row : rows) {
    for (size_t i = 0; i < columns; ++i) {
      const double off = row.dense[i] - head->means[i];
      head->scales[i] += off * off / rows.size();
    }
  }
  // A column that never varies keeps scale 1, and its standardised value 0 gives it no weight.
  for (double& scale : head->scales) scale = scale > 1e-18 ? std::sqrt(scale) : 1;
}

// The rows as the objective reads them: standardised, buckets numbered as they occur.
struct Design {
  std::vector<std::vector<double>> dense;
  std::vector<std::vector<std::pair<int, float>>> sparse;
  std::vector<uint32_t> buckets;
};

Design MakeDesign(absl::Span<const FitRow> rows, const LogisticHead& head, bool hashed) {
  Design design;
  std::map<uint32_t, int> index;
  for (const FitRow& row : rows) {
    assert(row.dense.size() == head.features.size());
    std::vector<double> dense;
    for (size_t i = 0; i < row.dense.size(); ++i) {
      dense.push_back((row.dense[i] - head.means[i]) / head.scales[i]);
    }
    design.dense.push_back(std::move(dense));
    design.sparse.emplace_back();
    if (!hashed) continue;
    for (const auto& [bucket, value] : row.hashed) {
      const auto [at, fresh] = index.emplace(bucket, static_cast<int>(design.buckets.size()));
      if (fresh) design.buckets.push_back(bucket);
      design.sparse.back().emplace_back(at->second, value);
    }
  }
  return design;
}

// Parameters: bias, dense weights, bucket weights.
double LogLoss(absl::Span<const FitRow> rows, const Design& design, const LogisticOptions& options,
               const std::vector<double>& at, std::vector<double>* gradient) {
  const size_t columns = design.dense.empty() ? 0 : design.dense[0].size();
  std::fill(gradient->begin(), gradient->end(), 0.0);
  double loss = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    double logit = at[0];
    for (size_t i = 0; i < columns; ++i) logit += at[1 + i] * design.dense[r][i];
    for (const auto& [i, value] : design.sparse[r]) logit += at[1 + columns + i] * value;
    loss += Softplus(logit) - rows[r].label * logit;
    const double error = Sigmoid(logit) - rows[r].label;
    (*gradient)[0] += error;
    for (size_t i = 0; i < columns; ++i) (*gradient)[1 + i] += error * design.dense[r][i];
    for (const auto& [i, value] : design.sparse[r]) (*gradient)[1 + columns + i] += error * value;
  }
  for (size_t i = 1; i < at.size(); ++i) {
    const double l2 = i <= columns ? options.l2_dense : options.l2_hashed;
    loss += l2 / 2 * at[i] * at[i];
    (*gradient)[i] += l2 * at[i];
  }
  return loss;
}

// Rising; NaN has its place too, so that the order is one whatever the values are.
std::vector<size_t> OrderOf(absl::Span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::is_lt(std::weak_order(values[a], values[b]));
  });
  return order;
}

// Behind the last of the values that equal the one at order[begin].
size_t EndOfTie(absl::Span<const double> values, const std::vector<size_t>& order, size_t begin) {
  size_t end = begin + 1;
  while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
  return end;
}

}  // namespace

LogisticHead FitLogistic(absl::Span<const FitRow> rows, const std::vector<std::string>& features,
                         const LogisticOptions& options) {
  assert(!rows.empty());
  LogisticHead head;
  head.features = features;
  Standardize(rows, &head);
  const Design design = MakeDesign(rows, head, options.hash_bits > 0);
  const size_t size = 1 + features.size() + design.buckets.size();
  Minimizer minimizer(
      [&](const std::vector<double>& at, std::vector<double>* gradient) {
        return LogLoss(rows, design, options, at, gradient);
      },
      size);
  const std::vector<double> best = minimizer.Run(options.max_iterations);
  head.bias = best[0];
  head.weights.assign(best.begin() + 1, best.begin() + 1 + features.size());
  head.hash_bits = options.hash_bits;
  for (size_t i = 0; i < design.buckets.size(); ++i) {
    head.hashed_weights[design.buckets[i]] = static_cast<float>(best[1 + features.size() + i]);
  }
  return head;
}

std::vector<int> GroupFolds(absl::Span<const std::string> groups, int folds, uint64_t seed) {
  std::map<std::string, int> sizes;
  for (const std::string& group : groups) ++sizes[group];
  std::vector<std::pair<std::string, int>> order(sizes.begin(), sizes.end());
  // Fisher-Yates by hand: std::shuffle's draws differ between libraries.
  std::mt19937_64 random(seed);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<int> filled(folds, 0);
  std::map<std::string, int> fold_of_group;
  for (const auto& [group, size] : order) {
    const int smallest =
        static_cast<int>(std::min_element(filled.begin(), filled.end()) - filled.begin());
    fold_of_group[group] = smallest;
    filled[smallest] += size;
  }
  std::vector<int> fold_of;
  for (const std::string& group : groups) fold_of.push_back(fold_of_group[group]);
  return fold_of;
}

std::vector<double> CrossLogits(absl::Span<const FitRow> rows, absl::Span<const int> fold_of,
                                const std::vector<std::string>& features,
                                const LogisticOptions& options) {
  assert(rows.size() == fold_of.size());
  std::vector<double> logits(rows.size(), 0);
  const int folds = fold_of.empty() ? 0 : *std::max_element(fold_of.begin(), fold_of.end()) + 1;
  for (int fold = 0; fold < folds; ++fold) {
    std::vector<FitRow> others;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (fold_of[i] != fold) others.push_back(rows[i]);
    }
    if (others.empty()) continue;
    const LogisticHead head = FitLogistic(others, features, options);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (fold_of[i] == fold) logits[i] = head.Logit(rows[i].dense, rows[i].hashed);
    }
  }
  return logits;
}

std::pair<double, double> FitPlatt(absl::Span<const double> logits,
                                   absl::Span<const double> labels) {
  assert(logits.size() == labels.size());
  double right = 0;
  for (double label : labels) right += label >= 0.5;
  const double wrong = labels.size() - right;
  std::vector<FitRow> rows;
  for (size_t i = 0; i < logits.size(); ++i) {
    FitRow row;
    row.dense = {logits[i]};
    row.label = labels[i] >= 0.5 ? (right + 1) / (right + 2) : 1 / (wrong + 2);
    rows.push_back(std::move(row));
  }
  LogisticOptions options;
  options.l2_dense = 0;
  const LogisticHead head = FitLogistic(rows, {"logit"}, options);
  const double a = head.weights[0] / head.scales[0];
  return {a, head.bias - a * head.means[0]};
}

Isotonic FitIsotonic(absl::Span<const double> scores, absl::Span<const double> labels) {
  struct Block {
    double score_sum, label_sum, count;
    double mean() const { return label_sum / count; }
  };
  std::vector<Block> blocks;
  const std::vector<size_t> order = OrderOf(scores);
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    // Rows of one score share one value: they are pooled first, whatever their order.
    end = EndOfTie(scores, order, begin);
    Block tie{0, 0, 0};
    for (size_t i = begin; i < end; ++i) {
      tie.score_sum += scores[order[i]];
      tie.label_sum += labels[order[i]];
      ++tie.count;
    }
    blocks.push_back(tie);
    while (blocks.size() > 1 && blocks[blocks.size() - 2].mean() >= blocks.back().mean()) {
      Block& into = blocks[blocks.size() - 2];
      into.score_sum += blocks.back().score_sum;
      into.label_sum += blocks.back().label_sum;
      into.count += blocks.back().count;
      blocks.pop_back();
    }
  }
  const double floor = 1.0 / (scores.size() + 2);
  Isotonic line;
  for (const Block& block : blocks) {
    const double x = block.score_sum / block.count;
    const double y = std::clamp(block.mean(), floor, 1 - floor);
    if (!line.x.empty() && x <= line.x.back()) {
      line.y.back() = std::max(line.y.back(), y);
      continue;
    }
    line.x.push_back(x);
    line.y.push_back(y);
  }
  return line;
}

double Auroc(absl::Span<const double> scores, absl::Span<const double> labels) {
  const std::vector<size_t> order = OrderOf(scores);
  double rank_sum = 0, right = 0;
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    end = EndOfTie(scores, order, begin);
    const double mid_rank = (begin + 1 + end) / 2.0;
    for (size_t i = begin; i < end; ++i) {
      if (labels[order[i]] < 0.5) continue;
      rank_sum += mid_rank;
      ++right;
    }
  }
  const double wrong = scores.size() - right;
  if (right == 0 || wrong == 0) return 0.5;
  return (rank_sum - right * (right + 1) / 2) / (right * wrong);
}

double Ece(absl::Span<const double> probabilities, absl::Span<const double> labels, int bins) {
  const std::vector<size_t> order = OrderOf(probabilities);
  const size_t n = order.size();
  double error = 0;
  for (int bin = 0; bin < bins; ++bin) {
    double gap = 0;
    for (size_t i = n * bin / bins; i < n * (bin + 1) / bins; ++i) {
      gap += labels[order[i]] - probabilities[order[i]];
    }
    error += std::abs(gap) / n;
  }
  return n == 0 ? 0 : error;
}

double Brier(absl::Span<const double> probabilities, absl::Span<const double> labels) {
  double sum = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    sum += (probabilities[i] - labels[i]) * (probabilities[i] - labels[i]);
  }
  return probabilities.empty() ? 0 : sum / probabilities.size();
}

std::optional<double> RiskThreshold(absl::Span<const double> probabilities,
                                    absl::Span<const double> labels,
                                    absl::Span<const std::string> groups,
                                    double max_wrong_accepted) {
  assert(probabilities.size() == labels.size() && probabilities.size() == groups.size());
  std::map<std::string_view, double> sizes;
  for (const std::string& group : groups) ++sizes[group];
  // Falling: from the surest row on.
  std::vector<double> doubts(probabilities.size());
  std::transform(probabilities.begin(), probabilities.end(), doubts.begin(), std::negate<>());
  const std::vector<size_t> order = OrderOf(doubts);
  double risks = 0;  // the sum of the groups' risks
  std::optional<double> threshold;
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    // All rows of one probability are accepted together.
    end = EndOfTie(doubts, order, begin);
    for (size_t i = begin; i < end; ++i) risks += (1 - labels[order[i]]) / sizes[groups[order[i]]];
    if ((risks + 1) / (sizes.size() + 1.0) > max_wrong_accepted) break;
    threshold = probabilities[order[begin]];
  }
  return threshold;
}

}  // namespace nearfar
