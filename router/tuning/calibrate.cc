#include "router/tuning/calibrate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "policies/estimators/bound_head.h"
#include "policies/estimators/draft_features.h"
#include "policies/estimators/fit.h"
#include "policies/estimators/probability.h"
#include "policies/estimators/prompt_features.h"

namespace nearfar {
namespace {

constexpr int kFewestOutcomes = 100;
constexpr int kBins = 10;
// A head that ranks held-out questions hardly better than chance is not shipped: it would decide
// without knowing. Without it the policy sees "unknown".
constexpr double kLeastAuroc = 0.6;
constexpr double kRisks[] = {0.02, 0.05, 0.10, 0.15, 0.20};

// One outcome joined with its question.
struct Sample {
  const Question* question;
  const Outcome* outcome;
  Signals signals;  // prompt filled; draft filled with the finished draft
};

std::vector<std::string> PromptNames() {
  return {PromptFeatureNames().begin(), PromptFeatureNames().end()};
}

// What the heads of drafts are fitted on: all but the features that tell of the limit a request set
// rather than of the draft. Outcomes are collected under a short limit, live requests have another
// one or none, and a weight learned from the one would misread the other.
std::vector<std::string> DraftNames() {
  std::vector<std::string> names;
  for (std::string_view name : DraftFeatureNames()) {
    if (name != "tokens_of_limit" && name != "hit_limit") names.emplace_back(name);
  }
  return names;
}

bool AreDraftFeatures(const std::vector<double>& values) {
  return values.size() == DraftFeatureNames().size() &&
         std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

absl::Status CheckFeatures(const Outcome& outcome) {
  if (!outcome.near || !AreDraftFeatures(outcome.near->features) ||
      outcome.feature_version != kFeatureVersion) {
    return absl::InvalidArgumentError(absl::StrCat(
        "outcome \"", outcome.id, "\": near.features are not ", DraftFeatureNames().size(),
        " finite numbers of version ", kFeatureVersion, " (collect again)"));
  }
  const std::vector<std::vector<double>>& prefixes = outcome.near->prefixes;
  const auto bad = std::find_if_not(prefixes.begin(), prefixes.end(), AreDraftFeatures);
  if (bad == prefixes.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("outcome \"", outcome.id, "\": near.prefixes[", bad - prefixes.begin(),
                   "] are not ", DraftFeatureNames().size(), " finite numbers (collect again)"));
}

absl::StatusOr<std::vector<Sample>> Join(const std::vector<Question>& questions,
                                         const std::vector<Outcome>& outcomes) {
  std::unordered_map<std::string, const Question*> by_id;
  for (const Question& question : questions) by_id[question.id] = &question;
  std::vector<Sample> samples;
  for (const Outcome& outcome : outcomes) {
    const auto found = by_id.find(outcome.id);
    if (found == by_id.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("outcome \"", outcome.id, "\" has no question (another question file?)"));
    }
    if (absl::Status status = CheckFeatures(outcome); !status.ok()) return status;
    Sample sample{found->second, &outcome, {}};
    FillPromptFeatures(found->second->text, &sample.signals.prompt);
    sample.signals.draft.emplace();
    sample.signals.draft->finished = true;
    sample.signals.draft->tokens = outcome.near->tokens;
    sample.signals.draft->dense = outcome.near->features;
    samples.push_back(std::move(sample));
  }
  return samples;
}

FitRow MakeRow(const Signals& signals, HeadKind kind, const std::vector<std::string>& names,
               double label) {
  FitRow row;
  row.dense = HeadInputs(names, kind, signals).value_or(std::vector<double>(names.size(), 0.0));
  if (kind == HeadKind::kPrompt) row.hashed = signals.prompt.hashed;
  row.label = label;
  return row;
}

std::vector<double> LabelsOf(const std::vector<FitRow>& rows) {
  std::vector<double> labels;
  for (const FitRow& row : rows) labels.push_back(row.label);
  return labels;
}

// A head on all rows, its Platt part from held-out logits, and its held-out probabilities.
struct Fitted {
  LogisticHead head;
  std::vector<double> held_out;
};

// The Platt part that judges a fold is fitted on the other folds' held-out logits.
std::vector<double> CrossPlatt(const std::vector<double>& logits, const std::vector<double>& labels,
                               const std::vector<int>& fold_of, int folds) {
  std::vector<double> probabilities(logits.size());
  for (int fold = 0; fold < folds; ++fold) {
    std::vector<double> other_logits, other_labels;
    for (size_t i = 0; i < logits.size(); ++i) {
      if (fold_of[i] == fold) continue;
      other_logits.push_back(logits[i]);
      other_labels.push_back(labels[i]);
    }
    const auto [a, b] = FitPlatt(other_logits, other_labels);
    for (size_t i = 0; i < logits.size(); ++i) {
      if (fold_of[i] == fold) probabilities[i] = Sigmoid(a * logits[i] + b);
    }
  }
  return probabilities;
}

Fitted FitHead(const std::vector<FitRow>& rows, const std::vector<std::string>& names,
               const std::vector<int>& fold_of, int folds, const LogisticOptions& options) {
  Fitted fitted;
  const std::vector<double> labels = LabelsOf(rows);
  const std::vector<double> logits = CrossLogits(rows, fold_of, names, options);
  fitted.held_out = CrossPlatt(logits, labels, fold_of, folds);
  fitted.head = FitLogistic(rows, names, options);
  fitted.head.platt = FitPlatt(logits, labels);
  return fitted;
}

HeldOut Judge(std::string name, const std::vector<double>& scores,
              const std::vector<double>& labels, bool probability) {
  HeldOut held;
  held.name = std::move(name);
  held.auroc = Auroc(scores, labels);
  held.probability = probability;
  if (probability) {
    held.ece = Ece(scores, labels, kBins);
    held.brier = Brier(scores, labels);
  }
  return held;
}

// y = slope x + offset, by least squares, and the standard deviation around it.
struct Line {
  double slope = 0, offset = 0, deviation = 0;
  double At(double x) const { return slope * x + offset; }
};

Line FitLine(const std::vector<double>& x, const std::vector<double>& y) {
  const double n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xx = 0, xy = 0, squares = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  Line line;
  line.slope = xx > 0 ? xy / xx : 0;
  line.offset = mean_y - line.slope * mean_x;
  for (size_t i = 0; i < x.size(); ++i) squares += std::pow(y[i] - line.At(x[i]), 2);
  // However well these questions were fitted, a prefix is no certainty.
  constexpr double kLeastDeviation = 0.1;
  line.deviation = std::max(std::sqrt(squares / n), kLeastDeviation);
  return line;
}

double QuantileOf(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[std::lround(share * static_cast<double>(values.size() - 1))];
}

// Fits every head of one calibration over the same folds.
class Fitter {
 public:
  Fitter(const std::vector<Sample>& samples, const CalibrateOptions& options)
      : samples_(samples), options_(options) {
    for (const Sample& sample : samples) {
      const std::string& name = sample.question->template_name;
      groups_.push_back(name.empty() ? sample.question->id : name);
      near_labels_.push_back(sample.outcome->near->score >= 0.5);
    }
    folds_ = GroupFolds(groups_, options.folds, options.seed);
  }

  CalibrateResult Fit() {
    CalibrateResult result;
    result.questions = static_cast<int>(samples_.size());
    Calibration& calibration = result.calibration;
    calibration.name = options_.name;
    calibration.binding = options_.binding;
    calibration.fit.questions = result.questions;
    calibration.fit.command = options_.command;
    FitPromptNear(&result);
    FitPromptFar(&result);
    FitDraft(&result);
    FitPrefix(&result);
    FitLength(&calibration);
    for (double label : near_labels_) result.near_right += label / near_labels_.size();
    return result;
  }

 private:
  static LogisticOptions PromptOptions() {
    LogisticOptions options;
    options.l2_dense = 8;
    options.l2_hashed = 2;
    options.hash_bits = kPromptHashBits;
    return options;
  }
  static LogisticOptions DraftOptions() {
    LogisticOptions options;
    options.l2_dense = 16;
    return options;
  }

  void FitPromptNear(CalibrateResult* result) {
    std::vector<FitRow> rows, length_rows;
    for (size_t i = 0; i < samples_.size(); ++i) {
      rows.push_back(
          MakeRow(samples_[i].signals, HeadKind::kPrompt, PromptNames(), near_labels_[i]));
      length_rows.push_back(
          MakeRow(samples_[i].signals, HeadKind::kPrompt, {"log_bytes"}, near_labels_[i]));
    }
    Fitted fitted = FitHead(rows, PromptNames(), folds_, options_.folds, PromptOptions());
    const Fitted length =
        FitHead(length_rows, {"log_bytes"}, folds_, options_.folds, DraftOptions());
    result->held_out.push_back(Judge("prompt head", fitted.held_out, near_labels_, true));
    result->calibration.fit.prompt_auroc = result->held_out.back().auroc;
    result->held_out.push_back(Judge("prompt length only", length.held_out, near_labels_, true));
    result->calibration.fit.length_only_auroc = result->held_out.back().auroc;
    if (*result->calibration.fit.prompt_auroc < kLeastAuroc) return;
    result->calibration.prompt_near = std::move(fitted.head);
  }

  void FitPromptFar(CalibrateResult* result) {
    std::vector<FitRow> rows;
    std::vector<int> folds;
    std::string model;
    for (size_t i = 0; i < samples_.size(); ++i) {
      const std::optional<SideOutcome>& far = samples_[i].outcome->far;
      if (!far) continue;
      model = far->name;
      rows.push_back(
          MakeRow(samples_[i].signals, HeadKind::kPrompt, PromptNames(), far->score >= 0.5));
      folds.push_back(folds_[i]);
      result->far_right += far->score >= 0.5;
    }
    if (rows.size() < kFewestOutcomes) return;
    result->far_right /= rows.size();
    Fitted fitted = FitHead(rows, PromptNames(), folds, options_.folds, PromptOptions());
    result->held_out.push_back(Judge("far prompt head", fitted.held_out, LabelsOf(rows), true));
    if (result->held_out.back().auroc < kLeastAuroc) return;
    result->calibration.prompt_far.push_back(
        {model, options_.far_fingerprint, std::move(fitted.head)});
  }

  void FitDraft(CalibrateResult* result) {
    std::vector<FitRow> rows;
    for (size_t i = 0; i < samples_.size(); ++i) {
      rows.push_back(MakeRow(samples_[i].signals, HeadKind::kDraft, DraftNames(), near_labels_[i]));
    }
    Fitted fitted = FitHead(rows, DraftNames(), folds_, options_.folds, DraftOptions());
    const HeldOut held = Judge("draft head", fitted.held_out, near_labels_, true);
    result->held_out.push_back(held);
    JudgeSingleStatistics(result);
    auto& fit = result->calibration.fit;
    fit.auroc = held.auroc;
    fit.ece = held.ece;
    fit.brier = held.brier;
    for (double risk : kRisks) {
      const auto threshold = RiskThreshold(fitted.held_out, near_labels_, groups_, risk);
      if (threshold) fit.risk.emplace_back(risk, *threshold);
    }
    if (held.auroc < kLeastAuroc) return;
    result->calibration.draft = std::move(fitted.head);
    draft_held_out_ = std::move(fitted.held_out);
  }

  // Each draft feature by itself, in the better direction: what a fitted head must beat.
  void JudgeSingleStatistics(CalibrateResult* result) {
    const absl::Span<const char* const> names = DraftFeatureNames();
    for (size_t f = 0; f < names.size(); ++f) {
      std::vector<double> values;
      for (const Sample& sample : samples_) values.push_back(sample.outcome->near->features[f]);
      HeldOut held = Judge(names[f], values, near_labels_, false);
      held.auroc = std::max(held.auroc, 1 - held.auroc);
      result->held_out.push_back(std::move(held));
    }
  }

  // What the draft head will say of the finished draft, given the draft so far. Every kept prefix
  // is taught its draft's held-out probability; the line through the held-out logits puts the
  // head's own on their scale, and what remains gives the deviation. It is judged on the
  // events that it is for: that the finished draft stays below one half, or below the bar of a
  // bound on risk.
  void FitPrefix(CalibrateResult* result) {
    constexpr double kLeast = 1e-6;  // of a probability, so that its logit is finite
    if (!result->calibration.draft) return;
    std::vector<FitRow> rows;
    std::vector<double> finished;
    std::vector<int> folds;
    for (size_t i = 0; i < samples_.size(); ++i) {
      Signals signals = samples_[i].signals;
      for (const std::vector<double>& prefix : samples_[i].outcome->near->prefixes) {
        signals.draft->dense = prefix;
        rows.push_back(MakeRow(signals, HeadKind::kDraft, DraftNames(), draft_held_out_[i]));
        finished.push_back(Logit(std::clamp(draft_held_out_[i], kLeast, 1 - kLeast)));
        folds.push_back(folds_[i]);
      }
    }
    if (rows.size() < kFewestOutcomes) return;
    const std::vector<double> logits = CrossLogits(rows, folds, DraftNames(), DraftOptions());
    const Line line = FitLine(logits, finished);
    const auto judge = [&](const std::string& name, double bar) {
      std::vector<double> pi, rejected;
      for (size_t r = 0; r < rows.size(); ++r) {
        pi.push_back(NormalBelow((Logit(bar) - line.At(logits[r])) / line.deviation));
        rejected.push_back(finished[r] < Logit(bar));
      }
      result->held_out.push_back(Judge(name, pi, rejected, true));
      return result->held_out.back().auroc;
    };
    for (const auto& [risk, bar] : result->calibration.fit.risk) {
      judge(absl::StrFormat("prefix head (rejection below %.2f)", bar), bar);
    }
    if (judge("prefix head (rejection)", 0.5) < kLeastAuroc) return;
    LogisticHead head = FitLogistic(rows, DraftNames(), DraftOptions());
    for (double& weight : head.weights) weight *= line.slope;
    head.bias = line.At(head.bias);
    result->calibration.prefix = std::move(head);
    result->calibration.prefix_deviation = line.deviation;
  }

  void FitLength(Calibration* calibration) const {
    std::vector<double> tokens;
    for (const Sample& sample : samples_) tokens.push_back(sample.outcome->near->tokens);
    calibration->median_tokens = QuantileOf(tokens, 0.5);
    calibration->p90_tokens = QuantileOf(tokens, 0.9);
  }

  const std::vector<Sample>& samples_;
  const CalibrateOptions& options_;
  std::vector<double> near_labels_;
  std::vector<double> draft_held_out_;  // where the draft head was good enough
  std::vector<std::string> groups_;  // the question's template, or the question itself without one
  std::vector<int> folds_;
};

}  // namespace

absl::StatusOr<CalibrateResult> FitCalibration(const std::vector<Question>& questions,
                                               const std::vector<Outcome>& outcomes,
                                               const CalibrateOptions& options) {
  absl::StatusOr<std::vector<Sample>> samples = Join(questions, outcomes);
  if (!samples.ok()) return samples.status();
  if (samples->size() < kFewestOutcomes) {
    return absl::InvalidArgumentError(absl::StrCat(
        samples->size(), " outcomes are too few to fit (at least ", kFewestOutcomes, ")"));
  }
  const auto right = std::count_if(samples->begin(), samples->end(), [](const Sample& sample) {
    return sample.outcome->near->score >= 0.5;
  });
  if (right == 0 || right == static_cast<int64_t>(samples->size())) {
    return absl::InvalidArgumentError(
        "all outcomes of near are alike (all right or all wrong): nothing can be learned from "
        "them");
  }
  return Fitter(*samples, options).Fit();
}

}  // namespace nearfar
