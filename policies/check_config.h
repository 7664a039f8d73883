// What is wrong with a policy's values, by field: ranges, references, contradictions. The same
// checks for a file (policy_file adds line and column) and for a config that an application fills
// by hand. Held by tests/policies/check_config_test.cc.

#ifndef NEARFAR_POLICIES_CHECK_CONFIG_H_
#define NEARFAR_POLICIES_CHECK_CONFIG_H_

#include <string>
#include <string_view>
#include <vector>

#include "policies/policy_config.h"

namespace nearfar {

struct FieldError {
  std::string field;    // as the file spells it: "far[1].price.input_usd_per_mtok"
  std::string message;  // what is wrong (what to do)
};

// All mistakes, in the order of the schema; empty = none. Pure: opens no file.
std::vector<FieldError> CheckPolicyConfig(const PolicyConfig& config);

// True of a gRPC target on this machine: a Unix socket or loopback addresses, every one of a list.
bool IsLocalTarget(std::string_view target);

}  // namespace nearfar

#endif  // NEARFAR_POLICIES_CHECK_CONFIG_H_
