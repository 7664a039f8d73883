#include "router/daemon/grpc_status.h"

namespace nearfar::daemon {
namespace {

// As the client knows them (cloud_client/protocols/grpc_error.h).
constexpr char kErrorKindTrailer[] = "nearfar-error";
constexpr char kPushBackTrailer[] = "grpc-retry-pushback-ms";
// About the time that a short answer takes to free its slot.
constexpr char kPushBackMilliseconds[] = "500";

grpc::StatusCode CodeOf(ErrorKind kind, absl::StatusCode code) {
  switch (kind) {
    case ErrorKind::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case ErrorKind::kDeadline:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case ErrorKind::kCancelled:
      return grpc::StatusCode::CANCELLED;
    case ErrorKind::kBadRequest:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case ErrorKind::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case ErrorKind::kContextTooLong:
      return grpc::StatusCode::OUT_OF_RANGE;
    case ErrorKind::kRateLimited:
    case ErrorKind::kQuota:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    default:
      return code == absl::StatusCode::kOk ? grpc::StatusCode::INTERNAL
                                           : static_cast<grpc::StatusCode>(code);
  }
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

grpc::Status ToGrpc(const BackendError& error) {
  return grpc::Status(CodeOf(error.kind, error.status.code()), std::string(error.status.message()));
}

grpc::Status Refusal(grpc::CallbackServerContext* context, const absl::Status& why) {
  const bool full = absl::IsResourceExhausted(why);
  context->AddTrailingMetadata(kErrorKindTrailer, full ? "rate_limited" : "unavailable");
  context->AddTrailingMetadata(kPushBackTrailer, full ? kPushBackMilliseconds : "-1");
  return ToGrpc(why);
}

}  // namespace nearfar::daemon
