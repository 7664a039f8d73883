#include "cloud_client/stub/channel.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/base/call_once.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cloud_client/pem.h"

namespace nearfar {
namespace {

absl::Status CheckHostPort(absl::string_view address) {
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port == 0 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\" is not HOST:PORT (write for example dns:///host:7443)"));
  }
  return absl::OkStatus();
}

absl::string_view Authority(absl::string_view target) {
  for (absl::string_view scheme : {"dns:///", "dns:", "ipv4:", "ipv6:"}) {
    if (absl::ConsumePrefix(&target, scheme)) break;
  }
  return target;
}

// The channel's own spelling of a target never equals the spelling of a connected peer, so that a
// call can tell whether a server ever spoke (MayHaveLeft of protocols/grpc_error.h).
std::string CanonicalTarget(const std::string& target) {
  absl::string_view path = target;
  if (absl::ConsumePrefix(&path, "unix:") && absl::StartsWith(path, "/") &&
      !absl::StartsWith(path, "//")) {
    return absl::StrCat("unix://", path);
  }
  if (absl::StartsWith(target, "unix:") || absl::StartsWith(target, "dns:")) return target;
  return absl::StrCat("dns:///", Authority(target));
}

int Milliseconds(absl::Duration d) { return static_cast<int>(absl::ToInt64Milliseconds(d)); }

grpc::ChannelArguments Arguments(const CloudOptions& options) {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_time));
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(options.keepalive_timeout));
  // An idle device sends nothing; only a running call looks after its connection.
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  args.SetMaxSendMessageSize(static_cast<int>(options.max_message_bytes));
  // Retries are ours (retry_stub), so no service config may add a second, uncounted layer. What
  // remains are gRPC's transparent ones, of calls that provably never reached a server.
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  // Despite its name the minimum back-off is the time that one connection attempt may take.
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, Milliseconds(options.connect_timeout));
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // Not above the breaker's first pause, or its probe would meet a channel that still waits.
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
              std::max(200, Milliseconds(options.breaker_open) / 2));
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (IsLocalTarget(options.target)) args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetUserAgentPrefix("nearfar");
  if (options.tls && !options.tls->server_name.empty()) {
    args.SetSslTargetNameOverride(options.tls->server_name);
  }
  return args;
}

std::shared_ptr<grpc::ChannelCredentials> Credentials(const CloudOptions& options) {
  if (!options.tls) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = options.tls->root_certificates;
  ssl.pem_cert_chain = options.tls->certificate_chain;
  ssl.pem_private_key = options.tls->private_key;
  return grpc::SslCredentials(ssl);
}

// gRPC 1.51 runs all callback calls of a process on a few shared threads, and joins those threads
// when the last channel that uses them goes. Where that channel goes on one of these very threads
// (a call's end was its last owner), it would wait for itself. So one channel that leads nowhere is
// kept for good, and the threads with it.
void HoldCallbackThreads() {
  static absl::once_flag once;
  static std::atomic<grpc::GenericStub*> held{nullptr};
  absl::call_once(once, [] {
    auto* stub = new grpc::GenericStub(
        grpc::CreateCustomChannel("", /*creds=*/nullptr, grpc::ChannelArguments()));
    struct Call {
      grpc::ClientContext context;
      grpc::Slice nothing;
      grpc::ByteBuffer request{&nothing, 1}, response;
    };
    auto call = std::make_shared<Call>();
    // Fails at once; that it was made is what takes hold of the threads.
    stub->UnaryCall(&call->context, "/none", grpc::StubOptions(), &call->request, &call->response,
                    [call](const grpc::Status&) {});
    held = stub;
  });
}

}  // namespace

absl::Status CheckTarget(absl::string_view target) {
  absl::string_view rest = target;
  if (absl::ConsumePrefix(&rest, "unix:")) {
    if (absl::StartsWith(rest, "//") && !absl::ConsumePrefix(&rest, "//")) rest = "";
    if (rest.size() > 1 && rest[0] == '/') return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("\"", target, "\" is not unix:/absolute/path"));
  }
  return CheckHostPort(Authority(target));
}

bool IsLocalTarget(absl::string_view target) {
  if (absl::StartsWith(target, "unix:")) return true;
  absl::string_view host = Authority(target);
  host = host.substr(0, host.rfind(':'));
  return host == "localhost" || absl::StartsWith(host, "127.") || host == "[::1]" || host == "::1";
}

absl::Status CheckTls(const CloudTls& tls) {
  if (!tls.root_certificates.empty() && !CheckCertificates(tls.root_certificates).ok()) {
    return absl::InvalidArgumentError("ca_file holds no PEM certificate");
  }
  if (tls.certificate_chain.empty() != tls.private_key.empty()) {
    return absl::InvalidArgumentError("cert_file and key_file go together: one is missing");
  }
  if (tls.certificate_chain.empty()) return absl::OkStatus();
  return CheckKeyPair(tls.certificate_chain, tls.private_key);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const CloudOptions& options) {
  absl::Status status = CheckTarget(options.target);
  if (status.ok() && options.tls) status = CheckTls(*options.tls);
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("far target \"", options.name, "\": ", status.message()));
  }
  HoldCallbackThreads();
  return grpc::CreateCustomChannel(CanonicalTarget(options.target), Credentials(options),
                                   Arguments(options));
}

}  // namespace nearfar
