#include "router/tuning/calibrate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "policies/estimators/bound_head.h"
#include "policies/estimators/draft_features.h"
#include "policies/estimators/fit.h"
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

std::vector<std::string> DraftNames() {
  return {DraftFeatureNames().begin(), DraftFeatureNames().end()};
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
    if (!outcome.near || outcome.near->features.size() != DraftFeatureNames().size() ||
        outcome.feature_version != kFeatureVersion) {
      return absl::InvalidArgumentError(absl::StrCat("outcome \"", outcome.id,
                                                     "\": near.features are not those of version ",
                                                     kFeatureVersion, " (collect again)"));
    }
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

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

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

double QuantileOf(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[std::lround(share * static_cast<double>(values.size() - 1))];
}

// Fits every head of one calibration over the same folds.
class Fitter {
 public:
  Fitter(const std::vector<Sample>& samples, const CalibrateOptions& options)
      : samples_(samples), options_(options) {
    std::vector<std::string> groups;
    for (const Sample& sample : samples) {
      const std::string& name = sample.question->template_name;
      groups.push_back(name.empty() ? sample.question->id : name);
      near_labels_.push_back(sample.outcome->near->score >= 0.5);
    }
    folds_ = GroupFolds(groups, options.folds, options.seed);
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
      fit.risk.emplace_back(risk,
                            std::min(1.0, RiskThreshold(fitted.held_out, near_labels_, risk)));
    }
    if (held.auroc >= kLeastAuroc) result->calibration.draft = std::move(fitted.head);
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

  // P(rejected | prefix): every kept prefix of a draft carries the draft's own fate.
  void FitPrefix(CalibrateResult* result) {
    std::vector<FitRow> rows;
    std::vector<int> folds;
    for (size_t i = 0; i < samples_.size(); ++i) {
      Signals signals = samples_[i].signals;
      for (const std::vector<double>& prefix : samples_[i].outcome->near->prefixes) {
        if (prefix.size() != DraftFeatureNames().size()) continue;
        signals.draft->dense = prefix;
        rows.push_back(MakeRow(signals, HeadKind::kDraft, DraftNames(), 1 - near_labels_[i]));
        folds.push_back(folds_[i]);
      }
    }
    if (rows.size() < kFewestOutcomes) return;
    Fitted fitted = FitHead(rows, DraftNames(), folds, options_.folds, DraftOptions());
    result->held_out.push_back(
        Judge("prefix head (rejection)", fitted.held_out, LabelsOf(rows), true));
    if (result->held_out.back().auroc < kLeastAuroc) return;
    result->calibration.prefix = std::move(fitted.head);
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
