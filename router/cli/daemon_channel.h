// A running nearfard as the commands reach it: the options that name it, the channel to it, and
// gRPC's statuses as ours. Functions are thread-safe. Held by tests/router/cli/daemon_door_test.cc.

#ifndef NEARFAR_ROUTER_CLI_DAEMON_CHANNEL_H_
#define NEARFAR_ROUTER_CLI_DAEMON_CHANNEL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace nearfar::cli {

// Of a call that runs no model: connecting on this machine takes milliseconds, over a bad line a
// few seconds.
inline constexpr absl::Duration kDaemonPatience = absl::Seconds(20);

struct DaemonFlags {
  std::string address;  // "unix:/path", "/path" or "host:port"; empty = none
  std::string ca_file, cert_file, key_file, server_name;

  // Returns the option --daemon, for what needs or excludes it.
  CLI::Option* Declare(CLI::App* app);
};

// Does not connect yet. Errors: NotFound (certificate files), InvalidArgument (the key does not
// belong to the certificate).
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenDaemonChannel(const DaemonFlags& flags);

// How far a call came before it ended.
enum class DaemonAnswer {
  kNone,   // nothing was heard
  kBegun,  // something, but no end
  kEnded,  // the daemon itself said how it ended
};

// The daemon's own words stay as they are. What gRPC says where the daemon is silent names the
// address and what to do; a request that is too large is OutOfRange and names the limit; a service
// that is not there is Unimplemented.
absl::Status StatusOfCall(const grpc::Status& status, const grpc::ClientContext& context,
                          const std::string& address, DaemonAnswer answer);

// A call with one answer, such as &RouterService::Stub::Explain. Errors: those of StatusOfCall.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> CallDaemon(Stub* stub,
                                    grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                 const Request&, Response*),
                                    const Request& request, const std::string& address) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kDaemonPatience));
  Response response;
  const grpc::Status status = (stub->*method)(&context, request, &response);
  if (!status.ok()) return StatusOfCall(status, context, address, DaemonAnswer::kNone);
  return response;
}

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_DAEMON_CHANNEL_H_
