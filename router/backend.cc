#include "router/backend.h"

namespace nearfar {

const char* ErrorKindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kNone:
      return "none";
    case ErrorKind::kUnavailable:
      return "unavailable";
    case ErrorKind::kDeadline:
      return "deadline";
    case ErrorKind::kCancelled:
      return "cancelled";
    case ErrorKind::kAuth:
      return "auth";
    case ErrorKind::kBadRequest:
      return "bad_request";
    case ErrorKind::kNotFound:
      return "not_found";
    case ErrorKind::kContextTooLong:
      return "context_too_long";
    case ErrorKind::kRateLimited:
      return "rate_limited";
    case ErrorKind::kQuota:
      return "quota";
    case ErrorKind::kContentFiltered:
      return "content_filtered";
    case ErrorKind::kProtocol:
      return "protocol";
    case ErrorKind::kInternal:
      return "internal";
  }
  return "unknown";
}

}  // namespace nearfar
