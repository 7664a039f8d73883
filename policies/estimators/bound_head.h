// A fitted head joined to the signals: finds each of its features by name once, so that it can be
// asked for a probability on every decision.
//
// Feature names of prompt heads are those of PromptFeatureNames(). Draft and prefix heads use
// DraftFeatureNames(), and may use "prompt.<name>" of the prompt's and "prompt_near", the
// calibrated probability of the prompt head. A hashed part always stands for the prompt's n-grams.
// Immutable. Held by tests/policies/estimators/bound_head_test.cc.

#ifndef NEARFAR_POLICIES_ESTIMATORS_BOUND_HEAD_H_
#define NEARFAR_POLICIES_ESTIMATORS_BOUND_HEAD_H_

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "policies/estimators/calibration.h"
#include "policies/signals.h"

namespace nearfar {

enum class HeadKind { kPrompt, kDraft };

// The inputs of a head with these features, in their order; empty where the signals do not hold
// them (no features were computed, or of another version). `prompt_near` stands for that feature.
// For fitting and for scoring alike, so that both see the same numbers.
std::optional<std::vector<double>> HeadInputs(const std::vector<std::string>& features,
                                              HeadKind kind, const Signals& signals,
                                              std::optional<double> prompt_near = std::nullopt);

// OK if every feature has a known name for this kind of head, and the head checks by itself.
absl::Status CheckHead(const LogisticHead& head, HeadKind kind);

class BoundHead {
 public:
  // `head` must outlive this and have passed CheckHead.
  BoundHead(const LogisticHead* head, HeadKind kind);

  // Empty where the signals do not hold the head's features.
  std::optional<double> Probability(const Signals& signals,
                                    std::optional<double> prompt_near = std::nullopt) const;
  // The uncalibrated score, of a head that says a logit. Empty likewise.
  std::optional<double> Logit(const Signals& signals,
                              std::optional<double> prompt_near = std::nullopt) const;

 private:
  friend std::optional<std::vector<double>> HeadInputs(const std::vector<std::string>&, HeadKind,
                                                       const Signals&, std::optional<double>);

  // Where a feature stands.
  struct Slot {
    enum class Place { kPrompt, kDraft, kPromptNear, kUnknown };
    Place place = Place::kUnknown;
    size_t index = 0;
  };
  static Slot FindSlot(std::string_view name, HeadKind kind);
  static std::optional<double> Read(const Slot& slot, const Signals& signals,
                                    std::optional<double> prompt_near);
  static std::optional<std::vector<double>> ReadAll(absl::Span<const Slot> slots,
                                                    const Signals& signals,
                                                    std::optional<double> prompt_near);
  friend absl::Status CheckHead(const LogisticHead&, HeadKind);
  std::optional<std::vector<double>> Inputs(const Signals& signals,
                                            std::optional<double> prompt_near) const;

  const LogisticHead* head_;
  std::vector<Slot> slots_;
};

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_ESTIMATORS_BOUND_HEAD_H_
