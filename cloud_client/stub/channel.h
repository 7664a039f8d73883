// One gRPC channel to one far target: credentials from PEM texts, keepalive, caps, fail-fast.
// Held by tests/cloud_client/stub/channel_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_STUB_CHANNEL_H_
#define NEARFAR_CLOUD_CLIENT_STUB_CHANNEL_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cloud_client/options.h"

namespace nearfar {

// Does not connect. Calls on it must never be wait_for_ready: a far side that is not there has to
// fail at once so that near can answer.
// Errors: InvalidArgument (target, certificate or key), naming options.name.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const CloudOptions& options);

// "unix:/path", "dns:///host:port", "ipv4:a:p", "ipv6:[a]:p" or "host:port", nothing else.
absl::Status CheckTarget(absl::string_view target);
// A Unix socket or a loopback address: no proxy stands between.
bool IsLocalTarget(absl::string_view target);
// Certificates parse, and the key belongs to the certificate.
absl::Status CheckTls(const CloudTls& tls);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_STUB_CHANNEL_H_
