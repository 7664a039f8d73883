// The door to a running nearfard: RouterService over gRPC. This is the one place of the program
// that knows the wire; statuses of gRPC become statuses of ours here.

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "nearfar/v1/router.grpc.pb.h"
#include "router/cli/answer_door.h"
#include "router/cli/wire.h"
#include "router/internal/check_query.h"

namespace nearfar::cli {
namespace {

// Connecting to a daemon on this machine takes milliseconds; over a bad line a few seconds.
constexpr absl::Duration kUnaryTimeout = absl::Seconds(20);

absl::Status StatusOf(const grpc::Status& status, const std::string& address) {
  if (status.ok()) return absl::OkStatus();
  if (absl::StrContains(status.error_message(), "larger than max")) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the question is longer than the daemon takes: ", status.error_message(),
                     " bytes (limits.max_request_bytes of its file)"));
  }
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    return absl::UnavailableError(absl::StrCat("the daemon at ", address,
                                               " cannot be reached: ", status.error_message(),
                                               " (does nearfard run, and listen there?)"));
  }
  // The numbers of gRPC's codes and of Abseil's are the same.
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return absl::NotFoundError(absl::StrCat(path, ": the file cannot be read"));
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// One call: a thread reads the stream and hands events on.
class DaemonCall : public RouterCall {
 public:
  DaemonCall(nearfar::v1::RouterService::Stub* stub, std::string address, Query query,
             std::shared_ptr<EventSink> sink)
      : stub_(stub), address_(std::move(address)), sink_(std::move(sink)) {
    if (query.deadline != absl::InfiniteFuture()) {
      context_.set_deadline(absl::ToChronoTime(query.deadline));
    }
    failed_.status = internal::CheckQuery(query);
    request_ = ToWire(query);
    thread_ = std::thread([this] { Read(); });
  }
  ~DaemonCall() override { thread_.join(); }

  void Cancel() override { context_.TryCancel(); }

 private:
  void Read() {
    // A text that is no text (UTF-8) cannot cross: it would come back without a reason.
    if (!failed_.status.ok()) return sink_->OnFailed(failed_);
    failed_.status = absl::InternalError("the daemon ended the stream without a result");
    auto reader = stub_->Generate(&context_, request_);
    nearfar::v1::RoutedResponse response;
    while (reader->Read(&response)) Handle(response);
    const absl::Status status = StatusOf(reader->Finish(), address_);
    if (ended_) return;
    if (!status.ok()) failed_.status = status;
    sink_->OnFailed(failed_);
  }

  void Handle(const nearfar::v1::RoutedResponse& response) {
    switch (response.event_case()) {
      case nearfar::v1::RoutedResponse::kStarted:
        failed_.decision = FromWire(response.started().decision());
        sink_->OnStarted({response.started().request_id(), failed_.decision});
        return;
      case nearfar::v1::RoutedResponse::kDelta:
        text_ += response.delta().text();
        sink_->OnDelta({response.delta().text(), response.delta().source()});
        return;
      case nearfar::v1::RoutedResponse::kRetract:
        text_.resize(std::min<size_t>(text_.size(), response.retract().from()));
        sink_->OnRetract({response.retract().from()});
        return;
      case nearfar::v1::RoutedResponse::kFinished:
        ended_ = true;
        sink_->OnFinished(FromWire(response.finished(), text_));
        return;
      case nearfar::v1::RoutedResponse::kFailed:
        failed_.status = absl::UnknownError(response.failed().message());
        failed_.decision = FromWire(response.failed().decision());
        failed_.cost_usd = response.failed().cost_usd();
        return;
      case nearfar::v1::RoutedResponse::EVENT_NOT_SET:
        return;
    }
  }

  nearfar::v1::RouterService::Stub* stub_;
  std::string address_;
  std::shared_ptr<EventSink> sink_;
  grpc::ClientContext context_;
  nearfar::v1::RoutedRequest request_;
  // What to report where no result comes; the stream's own status goes before its status.
  Failed failed_;
  std::string text_;
  bool ended_ = false;
  std::thread thread_;  // last: it uses what stands above
};

class DaemonDoor : public AnswerDoor {
 public:
  DaemonDoor(std::string address, std::shared_ptr<grpc::Channel> channel)
      : address_(std::move(address)),
        stub_(nearfar::v1::RouterService::NewStub(std::move(channel))) {}

  std::shared_ptr<RouterCall> Start(Query query, std::shared_ptr<EventSink> sink) override {
    return std::make_shared<DaemonCall>(stub_.get(), address_, std::move(query), std::move(sink));
  }

  absl::StatusOr<Decision> Explain(const Query& query) override {
    const absl::Status checked = internal::CheckQuery(query);
    if (!checked.ok()) return checked;
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kUnaryTimeout));
    nearfar::v1::ExplainResponse response;
    const grpc::Status status = stub_->Explain(&context, ToWire(query), &response);
    if (!status.ok()) return StatusOf(status, address_);
    return FromWire(response.decision());
  }

  absl::Status ClearTaint(const std::string& session_key) override {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kUnaryTimeout));
    nearfar::v1::ClearTaintRequest request;
    request.set_session_key(session_key);
    nearfar::v1::ClearTaintResponse response;
    return StatusOf(stub_->ClearTaint(&context, request, &response), address_);
  }

 private:
  std::string address_;
  std::unique_ptr<nearfar::v1::RouterService::Stub> stub_;
};

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

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> CredentialsOf(const DoorFlags& flags) {
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
  return grpc::SslCredentials(options);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AnswerDoor>> OpenDaemonDoor(const DoorFlags& flags) {
  auto credentials = CredentialsOf(flags);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  if (!flags.server_name.empty()) arguments.SetSslTargetNameOverride(flags.server_name);
  return std::make_unique<DaemonDoor>(
      flags.daemon, grpc::CreateCustomChannel(TargetOf(flags.daemon), *credentials, arguments));
}

}  // namespace nearfar::cli
