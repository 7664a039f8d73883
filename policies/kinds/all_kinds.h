// The list of policy kinds. Held by tests/policies/kinds/kinds_test.cc: unique names, one entry for
// every PolicyKind.

#ifndef NEARFAR_POLICIES_KINDS_ALL_KINDS_H_
#define NEARFAR_POLICIES_KINDS_ALL_KINDS_H_

#include <memory>

#include "absl/types/span.h"
#include "policies/kinds/kind.h"
#include "policies/policy_config.h"

namespace nearfar {

std::unique_ptr<const Kind> MakeFixedKind();
std::unique_ptr<const Kind> MakeThresholdKind();
std::unique_ptr<const Kind> MakeNetValueKind();
std::unique_ptr<const Kind> MakeCascadeKind();

struct KindEntry {
  PolicyKind kind;
  const char* name;  // in the policy file
  std::unique_ptr<const Kind> (*make)();
};
absl::Span<const KindEntry> AllKinds();

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_KINDS_ALL_KINDS_H_
