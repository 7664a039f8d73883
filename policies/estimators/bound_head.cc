#include "policies/estimators/bound_head.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policies/estimators/draft_features.h"
#include "policies/estimators/prompt_features.h"

namespace nearfar {
namespace {

std::optional<size_t> IndexIn(absl::Span<const char* const> names, std::string_view name) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (name == names[i]) return i;
  }
  return std::nullopt;
}

}  // namespace

BoundHead::Slot BoundHead::FindSlot(std::string_view name, HeadKind kind) {
  if (kind == HeadKind::kPrompt) {
    if (auto at = IndexIn(PromptFeatureNames(), name)) return {Slot::Place::kPrompt, *at};
    return {};
  }
  if (name == "prompt_near") return {Slot::Place::kPromptNear, 0};
  constexpr std::string_view kPrefix = "prompt.";
  if (name.substr(0, kPrefix.size()) == kPrefix) {
    return FindSlot(name.substr(kPrefix.size()), HeadKind::kPrompt);
  }
  if (auto at = IndexIn(DraftFeatureNames(), name)) return {Slot::Place::kDraft, *at};
  return {};
}

std::optional<double> BoundHead::Read(const Slot& slot, const Signals& signals,
                                      std::optional<double> prompt_near) {
  switch (slot.place) {
    case Slot::Place::kPromptNear:
      return prompt_near;
    case Slot::Place::kPrompt:
      if (signals.prompt.dense.size() != PromptFeatureNames().size()) return std::nullopt;
      return signals.prompt.dense[slot.index];
    case Slot::Place::kDraft:
      if (!signals.draft || signals.draft->dense.size() != DraftFeatureNames().size()) {
        return std::nullopt;
      }
      return signals.draft->dense[slot.index];
    case Slot::Place::kUnknown:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::vector<double>> BoundHead::ReadAll(absl::Span<const Slot> slots,
                                                      const Signals& signals,
                                                      std::optional<double> prompt_near) {
  std::vector<double> values;
  values.reserve(slots.size());
  for (const Slot& slot : slots) {
    const std::optional<double> value = Read(slot, signals, prompt_near);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

std::optional<std::vector<double>> HeadInputs(const std::vector<std::string>& features,
                                              HeadKind kind, const Signals& signals,
                                              std::optional<double> prompt_near) {
  std::vector<BoundHead::Slot> slots;
  slots.reserve(features.size());
  for (const std::string& name : features) slots.push_back(BoundHead::FindSlot(name, kind));
  return BoundHead::ReadAll(slots, signals, prompt_near);
}

absl::Status CheckHead(const LogisticHead& head, HeadKind kind) {
  if (absl::Status status = head.Check(); !status.ok()) return status;
  for (const std::string& name : head.features) {
    if (BoundHead::FindSlot(name, kind).place == BoundHead::Slot::Place::kUnknown) {
      return absl::InvalidArgumentError(absl::StrCat("no feature is called '", name,
                                                     "' (feature version ", kFeatureVersion, ")"));
    }
  }
  if (head.hash_bits != 0 && head.hash_bits != kPromptHashBits) {
    return absl::InvalidArgumentError(absl::StrCat("hash_bits must be 0 or ", kPromptHashBits,
                                                   ", as the prompt features have it"));
  }
  return absl::OkStatus();
}

BoundHead::BoundHead(const LogisticHead* head, HeadKind kind) : head_(head) {
  for (const std::string& name : head->features) slots_.push_back(FindSlot(name, kind));
}

std::optional<std::vector<double>> BoundHead::Inputs(const Signals& signals,
                                                     std::optional<double> prompt_near) const {
  if (head_->hash_bits > 0 && signals.prompt.dense.empty()) return std::nullopt;
  return ReadAll(slots_, signals, prompt_near);
}

std::optional<double> BoundHead::Probability(const Signals& signals,
                                             std::optional<double> prompt_near) const {
  const std::optional<std::vector<double>> dense = Inputs(signals, prompt_near);
  if (!dense) return std::nullopt;
  return head_->Probability(*dense, signals.prompt.hashed);
}

std::optional<double> BoundHead::Logit(const Signals& signals,
                                       std::optional<double> prompt_near) const {
  const std::optional<std::vector<double>> dense = Inputs(signals, prompt_near);
  if (!dense) return std::nullopt;
  return head_->Logit(*dense, signals.prompt.hashed);
}

}  // namespace nearfar
