#include "cloud_client/call.h"

namespace nearfar {

const char* CloudErrorKindName(CloudErrorKind kind) {
  switch (kind) {
    case CloudErrorKind::kUnavailable:
      return "unavailable";
    case CloudErrorKind::kBreakerOpen:
      return "breaker_open";
    case CloudErrorKind::kDeadline:
      return "deadline";
    case CloudErrorKind::kCancelled:
      return "cancelled";
    case CloudErrorKind::kAuth:
      return "auth";
    case CloudErrorKind::kBadRequest:
      return "bad_request";
    case CloudErrorKind::kNotFound:
      return "not_found";
    case CloudErrorKind::kContextTooLong:
      return "context_too_long";
    case CloudErrorKind::kRateLimited:
      return "rate_limited";
    case CloudErrorKind::kQuota:
      return "quota";
    case CloudErrorKind::kContentFiltered:
      return "content_filtered";
    case CloudErrorKind::kProtocol:
      return "protocol";
    case CloudErrorKind::kInternal:
      return "internal";
  }
  return "unknown";
}

}  // namespace nearfar
