// threshold: near iff P(near right) >= choose.threshold, of the prompt before the draft and, unless
// draft.accept says otherwise, of the finished draft. Held by tests/policies/kinds/kinds_test.cc.
#include <algorithm>

#include "policies/kinds/all_kinds.h"

namespace nearfar {
namespace {

class ThresholdKind : public Kind {
 public:
  Wish Choose(const Evidence& evidence) const override {
    if (!evidence.p_near) return WishWhenUnknown(evidence);
    const double threshold = Tightened(evidence, evidence.config.choose.threshold);
    Wish wish;
    wish.reason = Reason::kThreshold;
    wish.score = evidence.p_near;
    wish.threshold = threshold;
    wish.route = *evidence.p_near >= threshold ? Route::kDraft : Route::kFar;
    return wish;
  }

  Wish Judge(const Evidence& evidence) const override {
    if (!evidence.p_near) return Kind::Judge(evidence);
    return JudgeByConfidence(evidence, LeastAccepted(evidence));
  }

  double LeastAccepted(const Evidence& evidence) const override {
    const double threshold =
        ConfiguredMinConfidence(evidence.config).value_or(evidence.config.choose.threshold);
    return Tightened(evidence, threshold);
  }

 private:
  static double Tightened(const Evidence& evidence, double threshold) {
    return std::max(threshold, evidence.signals.request.min_confidence.value_or(0));
  }
};

}  // namespace

std::unique_ptr<const Kind> MakeThresholdKind() { return std::make_unique<ThresholdKind>(); }

}  // namespace nearfar
