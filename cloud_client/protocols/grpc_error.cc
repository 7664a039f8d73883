#include "cloud_client/protocols/grpc_error.h"

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cloud_client/protocols/text_check.h"

namespace nearfar {
namespace {

constexpr size_t kMessageBytes = 300;

struct Row {
  CloudErrorKind kind;
  bool retryable;
  bool billable;  // once it has left
  bool answered;  // only a living server says this
};

Row RowOf(grpc::StatusCode code, bool cancelled) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE:
      return {CloudErrorKind::kUnavailable, true, true, false};
    case grpc::StatusCode::ABORTED:
      return {CloudErrorKind::kUnavailable, true, true, true};
    case grpc::StatusCode::CANCELLED:
      if (cancelled) return {CloudErrorKind::kCancelled, false, true, false};
      return {CloudErrorKind::kUnavailable, true, true, false};
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return {CloudErrorKind::kDeadline, false, true, false};
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return {CloudErrorKind::kAuth, false, false, true};
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::FAILED_PRECONDITION:
      return {CloudErrorKind::kBadRequest, false, false, true};
    case grpc::StatusCode::OUT_OF_RANGE:
      return {CloudErrorKind::kContextTooLong, false, false, true};
    case grpc::StatusCode::NOT_FOUND:
      return {CloudErrorKind::kNotFound, false, false, true};
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return {CloudErrorKind::kRateLimited, false, false, true};
    case grpc::StatusCode::UNIMPLEMENTED:
      return {CloudErrorKind::kProtocol, false, false, false};
    case grpc::StatusCode::DATA_LOSS:
    case grpc::StatusCode::OK:
      return {CloudErrorKind::kProtocol, false, true, false};
    default:
      return {CloudErrorKind::kInternal, false, true, false};
  }
}

std::optional<std::string> Find(const GrpcTrailers& trailers, const char* key) {
  auto it = trailers.find(key);
  if (it == trailers.end()) return std::nullopt;
  return std::string(it->second.data(), it->second.size());
}

std::optional<absl::Duration> PushBack(const GrpcTrailers& trailers) {
  std::optional<std::string> text = Find(trailers, kPushBackTrailer);
  if (!text) return std::nullopt;
  int64_t milliseconds = -1;
  if (!absl::SimpleAtoi(*text, &milliseconds) || milliseconds < 0) return absl::Milliseconds(-1);
  return absl::Milliseconds(milliseconds);
}

// The kinds that a server may name beside a coarser code; others are its client's to judge.
CloudErrorKind Refine(CloudErrorKind kind, const GrpcTrailers& trailers) {
  const std::optional<std::string> name = Find(trailers, kErrorKindTrailer);
  if (!name) return kind;
  for (CloudErrorKind named : {CloudErrorKind::kContextTooLong, CloudErrorKind::kRateLimited,
                               CloudErrorKind::kQuota, CloudErrorKind::kContentFiltered}) {
    if (*name == CloudErrorKindName(named)) return named;
  }
  return kind;
}

bool HasSpoken(const std::string& peer) {
  if (absl::StartsWith(peer, "unix:")) return !absl::StartsWith(peer, "unix://");
  return absl::StartsWith(peer, "ipv4:") || absl::StartsWith(peer, "ipv6:");
}

}  // namespace

bool MayHaveLeft(const grpc::Status& status, const std::string& peer) {
  const grpc::StatusCode code = status.error_code();
  if (HasSpoken(peer)) return true;
  if (code == grpc::StatusCode::CANCELLED || code == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return false;
  }
  if (code != grpc::StatusCode::UNAVAILABLE) return true;
  const std::string& message = status.error_message();
  return !absl::StartsWith(message, "failed to connect to all addresses") &&
         !absl::StartsWith(message, "DNS resolution failed") &&
         !absl::StartsWith(message, "empty address list");
}

std::string CleanMessage(const std::string& message) { return CleanText(message, kMessageBytes); }

StubError TranslateGrpcError(const grpc::Status& status, const GrpcTrailers& trailers,
                             const CallProgress& progress) {
  const Row row = RowOf(status.error_code(), progress.cancelled);
  StubError error;
  error.error.kind = Refine(row.kind, trailers);
  error.error.message = CleanMessage(status.error_message());
  if (error.error.message.empty()) {
    error.error.message = absl::StrCat("the server ended the call with gRPC code ",
                                       static_cast<int>(status.error_code()));
  }
  const bool refused = Find(trailers, kErrorKindTrailer).has_value();
  error.error.maybe_billed = progress.delivered || (progress.left && row.billable && !refused);
  error.error.nothing_sent = !progress.left && !progress.delivered;
  error.push_back = PushBack(trailers);
  error.answered = row.answered || progress.delivered || refused;
  const bool pushed_back = error.error.kind == CloudErrorKind::kRateLimited && error.push_back;
  error.retryable = progress.left && !error.error.maybe_billed && (row.retryable || pushed_back);
  if (error.push_back && *error.push_back < absl::ZeroDuration()) error.retryable = false;
  return error;
}

StubError ProtocolError(const std::string& what, const CallProgress& progress) {
  StubError error;
  error.error.kind = CloudErrorKind::kProtocol;
  error.error.message = absl::StrCat("the server broke the protocol: ", what);
  error.error.maybe_billed = progress.left;
  error.error.nothing_sent = !progress.left;
  return error;
}

StubError NotConnected(absl::Duration waited) {
  StubError error;
  error.error.kind = CloudErrorKind::kUnavailable;
  error.error.message = absl::StrCat("no connection within ", absl::FormatDuration(waited));
  error.error.nothing_sent = true;
  return error;
}

absl::Status StatusOfGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      CleanMessage(status.error_message()));
}

}  // namespace nearfar
