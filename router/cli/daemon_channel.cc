// See daemon_channel.h.

#include "router/cli/daemon_channel.h"

#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "cloud_client/pem.h"

namespace nearfar::cli {
namespace {

// The daemon's mark of a refusal (docs/daemon.md, "How calls end").
constexpr char kErrorKindTrailer[] = "nearfar-error";
// A status travels in a header, and that of a reload lists every mistake of a policy: more than the
// 8 KiB that gRPC takes unasked.
constexpr int kMostStatusBytes = 1 << 20;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return absl::NotFoundError(absl::StrCat(path, ": the file cannot be read"));
  std::ostringstream text;
  // Nothing comes of an empty file, and of a folder. gRPC would take that for "not given".
  if (!(text << stream.rdbuf())) return absl::NotFoundError(absl::StrCat(path, ": holds nothing"));
  return text.str();
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> CredentialsOf(const DaemonFlags& flags) {
  if (flags.ca_file.empty() && flags.cert_file.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  const std::pair<const std::string*, std::string*> files[] = {
      {&flags.ca_file, &options.pem_root_certs},
      {&flags.cert_file, &options.pem_cert_chain},
      {&flags.key_file, &options.pem_private_key}};
  for (const auto& [path, text] : files) {
    if (path->empty()) continue;
    absl::StatusOr<std::string> read = ReadFile(*path);
    if (!read.ok()) return read.status();
    *text = *std::move(read);
  }
  // Otherwise every handshake would fail, and say little of why.
  if (!flags.cert_file.empty()) {
    const absl::Status pair = CheckKeyPair(options.pem_cert_chain, options.pem_private_key);
    if (!pair.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--cert ", flags.cert_file, ", --key ",
                                                     flags.key_file, ": ", pair.message()));
    }
  }
  return grpc::SslCredentials(options);
}

// A target as gRPC reads it. A socket's path is a path here, but a URI there, whose escapes it
// resolves.
std::string TargetOf(const std::string& address) {
  absl::string_view path = address;
  if (absl::ConsumePrefix(&path, "unix:") && absl::StartsWith(path, "//")) path.remove_prefix(2);
  if (!absl::StartsWith(path, "/")) return address;
  std::string target = "unix://";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || absl::StrContains("/-._~", c)) {
      target += c;
    } else {
      absl::StrAppendFormat(&target, "%%%02X", byte);
    }
  }
  return target;
}

// A daemon that speaks TLS hangs up on one that does not.
const char* HintOf(const std::string& message) {
  return absl::StrContains(message, "Socket closed")
             ? "(it hung up: a daemon with TLS is asked with --ca, --cert and --key)"
             : "(does nearfard run, and listen there?)";
}

bool Refused(const grpc::ClientContext& context) {
  return context.GetServerTrailingMetadata().count(kErrorKindTrailer) > 0;
}

}  // namespace

CLI::Option* DaemonFlags::Declare(CLI::App* app) {
  CLI::Option* daemon =
      app->add_option("--daemon", address, "A running nearfard: unix:/path, or host:port");
  app->add_option("--ca", ca_file, "PEM file of the authority that signed the daemon's certificate")
      ->needs(daemon);
  CLI::Option* cert =
      app->add_option("--cert", cert_file, "PEM file of our own certificate (mTLS)");
  CLI::Option* key = app->add_option("--key", key_file, "PEM file of our certificate's key");
  cert->needs(daemon)->needs(key);
  key->needs(cert);
  app->add_option("--server-name", server_name, "Name that the daemon's certificate must have")
      ->needs(daemon);
  return daemon;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenDaemonChannel(const DaemonFlags& flags) {
  auto credentials = CredentialsOf(flags);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMostStatusBytes);
  if (!flags.server_name.empty()) arguments.SetSslTargetNameOverride(flags.server_name);
  return grpc::CreateCustomChannel(TargetOf(flags.address), *credentials, arguments);
}

absl::Status StatusOfCall(const grpc::Status& status, const grpc::ClientContext& context,
                          const std::string& address, DaemonAnswer answer) {
  if (status.ok()) return absl::OkStatus();
  const std::string& message = status.error_message();
  const bool own_words = answer == DaemonAnswer::kEnded || Refused(context);
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && !own_words) {
    return absl::UnavailableError(
        answer == DaemonAnswer::kBegun
            ? absl::StrCat("the daemon at ", address, " broke the answer off: ", message)
            : absl::StrCat("the daemon at ", address, " cannot be reached: ", message, " ",
                           HintOf(message)));
  }
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED && !own_words) {
    return absl::UnimplementedError(absl::StrCat(
        "the nearfard at ", address,
        " serves no router, or is older than this program (serve.router in its file)"));
  }
  // gRPC has no code of its own for a message that its limit refuses; these are its words.
  if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED && !own_words &&
      absl::StrContains(message, "larger than max")) {
    return absl::OutOfRangeError(
        absl::StrCat("the question is larger than the daemon's limits.max_request_bytes: ", message,
                     " (shorten it, or raise that limit)"));
  }
  // The numbers of gRPC's codes and of Abseil's are the same.
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), message);
}

}  // namespace nearfar::cli
