// The far sides of a policy with the clients that reach them: what a program gives its router, at
// the start and again when the policy was reloaded. A reload keeps the client of a far side whose
// ways to be reached did not change, and with it what is known of that side: an open breaker,
// measured speeds, a connection. Pure values. Held by tests/router/far_sides_test.cc.

#ifndef NEARFAR_ROUTER_FAR_SIDES_H_
#define NEARFAR_ROUTER_FAR_SIDES_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cloud_client/cloud_client.h"
#include "policies/policy_config.h"
#include "router/backend.h"

namespace nearfar {

struct FarSide {
  CloudOptions options;  // with what was read: certificates, keys
  std::shared_ptr<CloudClient> client;
};
using FarSides = std::map<std::string, FarSide>;  // by FarConfig::name

// Reads keys and certificates; takes the client of `before` where nothing about it changed. Does
// not connect. Errors: NotFound, InvalidArgument, naming the far side and the file.
absl::StatusOr<FarSide> MakeFarSide(const FarConfig& config, const FarSides& before = {});
// The first error of MakeFarSide, of all far sides of the policy.
absl::StatusOr<FarSides> MakeFarSides(const PolicyConfig& policy, const FarSides& before = {});

// As the router takes them. `sides` were made of the same policy.
std::map<std::string, std::shared_ptr<Backend>> BackendsOf(const FarSides& sides,
                                                           const PolicyConfig& policy);

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_FAR_SIDES_H_
