// cascade: near always drafts first; the draft decides. Where a draft cannot be judged,
// near.when_unknown acts. Held by tests/policies/kinds/kinds_test.cc.
#include "policies/kinds/all_kinds.h"

namespace nearfar {
namespace {

class CascadeKind : public Kind {
 public:
  Wish Choose(const Evidence& evidence) const override {
    if (!evidence.can_judge) return WishWhenUnknown(evidence);
    Wish wish;
    wish.route = Route::kDraft;
    wish.reason = Reason::kCascade;
    return wish;
  }
};

}  // namespace

std::unique_ptr<const Kind> MakeCascadeKind() { return std::make_unique<CascadeKind>(); }

}  // namespace nearfar
