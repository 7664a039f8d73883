#include "router/daemon/grpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "router/daemon/call_limits.h"
#include "router/daemon/listen_address.h"

namespace nearfar::daemon {
namespace {

// Of gRPC's own, for server reflection; all other calls run on its shared callback threads.
constexpr int kMostThreads = 16;
// For connections, their headers and their handshakes.
constexpr size_t kConnectionBytes = size_t{64} << 20;

// Another process answers there: gRPC would take its socket's name away from it.
bool SocketIsTaken(const std::string& path) {
  // Without blocking: where the other's queue is full it takes no more connections, but is there.
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  const bool taken =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
      errno == EAGAIN;
  close(fd);
  return taken;
}

std::shared_ptr<grpc::ServerCredentials> Credentials(const ListenConfig& listen) {
  if (!listen.tls) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(
      listen.tls->client_ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                    : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = listen.tls->client_ca;
  options.pem_key_cert_pairs.push_back({listen.tls->private_key, listen.tls->certificate_chain});
  return grpc::SslServerCredentials(options);
}

// What gRPC 1.51 needs to be told to survive silent, half-open, greedy and pinging peers.
void SetLimits(const DaemonConfig& config, grpc::ServerBuilder* builder) {
  grpc::ResourceQuota quota("nearfard");
  quota.Resize(MemoryQuota(config));
  quota.SetMaxThreads(kMostThreads);
  builder->SetResourceQuota(quota);
  builder->SetMaxReceiveMessageSize(config.max_request_bytes);
  // Two daemons on one port would each get half of the calls.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 5000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 16 * 1024);
  // Calls of one connection; beyond limits.max_active they are refused with a reason.
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              std::max(16, 2 * std::min(config.max_active, 1000)));
}

}  // namespace

size_t MemoryQuota(const DaemonConfig& config) {
  const size_t call = static_cast<size_t>(config.max_request_bytes) + kMostQueuedBytes;
  return kConnectionBytes + static_cast<size_t>(config.max_active) * call;
}

absl::StatusOr<ListeningServer> StartServer(const DaemonConfig& config,
                                            const std::vector<grpc::Service*>& services) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetLimits(config, &builder);
  std::deque<int> ports;  // filled by BuildAndStart, so they must not move
  std::vector<std::string> wanted;
  for (const ListenConfig& listen : config.listen) {
    const absl::StatusOr<ListenAddress> address = ParseListenAddress(listen.address);
    if (!address.ok()) return address.status();
    if (!address->unix_path.empty() && SocketIsTaken(address->unix_path)) {
      return absl::UnavailableError(
          absl::StrCat(listen.address, ": another process listens there (is a nearfard running?)"));
    }
    ports.push_back(0);
    builder.AddListeningPort(address->grpc, Credentials(listen), &ports.back());
    wanted.push_back(listen.address);
  }
  for (grpc::Service* service : services) builder.RegisterService(service);
  ListeningServer out;
  out.server = builder.BuildAndStart();
  if (!out.server) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", absl::StrJoin(wanted, ", "),
                     " (is an address taken, or its folder not there or not ours?)"));
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    const bool any_port = wanted[i].size() > 2 && wanted[i].substr(wanted[i].size() - 2) == ":0";
    out.addresses.push_back(
        any_port ? absl::StrCat(wanted[i].substr(0, wanted[i].size() - 1), ports[i]) : wanted[i]);
  }
  return out;
}

}  // namespace nearfar::daemon
