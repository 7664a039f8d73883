// net_value: far at once iff the best target's net value (policies/value.h) is above
// choose.margin_usd; otherwise near drafts and the finished draft is weighed again.
// Held by tests/policies/kinds/kinds_test.cc.
#include "policies/kinds/all_kinds.h"

namespace nearfar {
namespace {

class NetValueKind : public Kind {
 public:
  Wish Choose(const Evidence& evidence) const override {
    if (!evidence.p_near) return WishWhenUnknown(evidence);
    Wish wish;
    wish.reason = Reason::kNetValue;
    wish.threshold = evidence.config.choose.margin_usd;
    wish.route = Route::kDraft;
    if (evidence.best == nullptr) return wish;
    wish.score = evidence.best->value.net_usd;
    if (*wish.score > *wish.threshold) wish.route = Route::kFar;
    return wish;
  }
};

}  // namespace

std::unique_ptr<const Kind> MakeNetValueKind() { return std::make_unique<NetValueKind>(); }

}  // namespace nearfar
