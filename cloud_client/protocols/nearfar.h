// The native protocol: nearfar.v1.InferenceService over gRPC's callback API.
// Held by tests/cloud_client/protocols/nearfar_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_PROTOCOLS_NEARFAR_H_
#define NEARFAR_CLOUD_CLIENT_PROTOCOLS_NEARFAR_H_

#include <memory>

#include "absl/status/statusor.h"
#include "cloud_client/options.h"
#include "cloud_client/stub/stub.h"

namespace nearfar {

// Errors: InvalidArgument, as MakeChannel.
absl::StatusOr<std::shared_ptr<CloudStub>> MakeNearfarProtocol(const CloudOptions& options);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_PROTOCOLS_NEARFAR_H_
