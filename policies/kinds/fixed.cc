// fixed: every request goes where choose.route says. A draft is accepted unless the policy's
// draft.accept or the request asks for a confidence. Held by tests/policies/kinds/kinds_test.cc.
#include "policies/kinds/all_kinds.h"

namespace nearfar {
namespace {

class FixedKind : public Kind {
 public:
  Wish Choose(const Evidence& evidence) const override {
    Wish wish;
    wish.route = evidence.config.choose.route;
    wish.reason = Reason::kFixed;
    return wish;
  }

  Wish Judge(const Evidence& evidence) const override {
    if (Judges(evidence)) return Kind::Judge(evidence);
    Wish wish;
    wish.reason = Reason::kDraftAccepted;
    wish.detail = "the policy asks for no confidence";
    return wish;
  }

  double LeastAccepted(const Evidence& evidence) const override {
    return Judges(evidence) ? Kind::LeastAccepted(evidence) : 0;
  }

  bool StopsEarly(const Evidence& evidence) const override { return Judges(evidence); }

 private:
  static bool Judges(const Evidence& evidence) {
    return ConfiguredMinConfidence(evidence.config) || evidence.signals.request.min_confidence;
  }
};

}  // namespace

std::unique_ptr<const Kind> MakeFixedKind() { return std::make_unique<FixedKind>(); }

}  // namespace nearfar
