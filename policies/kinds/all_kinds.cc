#include "policies/kinds/all_kinds.h"

namespace nearfar {
namespace {

constexpr KindEntry kKinds[] = {
    {PolicyKind::kFixed, "fixed", MakeFixedKind},
    {PolicyKind::kThreshold, "threshold", MakeThresholdKind},
    {PolicyKind::kNetValue, "net_value", MakeNetValueKind},
    {PolicyKind::kCascade, "cascade", MakeCascadeKind},
};

}  // namespace

absl::Span<const KindEntry> AllKinds() { return kKinds; }

}  // namespace nearfar
