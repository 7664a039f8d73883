// A far side: a cloud client behind the router's Backend.
// Thread-safe. Held by tests/router/cloud_backend_test.cc.

#ifndef NEARFAR_ROUTER_CLOUD_BACKEND_H_
#define NEARFAR_ROUTER_CLOUD_BACKEND_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cloud_client/cloud_client.h"
#include "policies/policy_config.h"
#include "router/backend.h"

namespace nearfar {

std::shared_ptr<Backend> MakeCloudBackend(std::shared_ptr<CloudClient> client,
                                          const FarConfig& config);

// How one far target of a policy is reached: resolves the api_key reference, reads certificates.
// `nearfar doctor` makes a client of it. Errors: InvalidArgument / NotFound, naming the target and
// the file.
absl::StatusOr<CloudOptions> MakeCloudOptions(const FarConfig& config,
                                              std::function<absl::Time()> clock);

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_CLOUD_BACKEND_H_
