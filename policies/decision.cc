#include "policies/decision.h"

namespace nearfar {

const char* ReasonName(Reason reason) {
  switch (reason) {
    case Reason::kRule:
      return "rule";
    case Reason::kRequest:
      return "request";
    case Reason::kTainted:
      return "tainted";
    case Reason::kOffline:
      return "offline";
    case Reason::kBreakerOpen:
      return "breaker_open";
    case Reason::kBudgetSpent:
      return "budget_spent";
    case Reason::kContextTooLong:
      return "context_too_long";
    case Reason::kCapability:
      return "capability";
    case Reason::kDevice:
      return "device";
    case Reason::kUncalibrated:
      return "uncalibrated";
    case Reason::kFixed:
      return "fixed";
    case Reason::kThreshold:
      return "threshold";
    case Reason::kNetValue:
      return "net_value";
    case Reason::kCascade:
      return "cascade";
    case Reason::kDraftAccepted:
      return "draft_accepted";
    case Reason::kDraftRejected:
      return "draft_rejected";
    case Reason::kEarlyExit:
      return "early_exit";
    case Reason::kKeepDrafting:
      return "keep_drafting";
    case Reason::kFarFailed:
      return "far_failed";
    case Reason::kNearFailed:
      return "near_failed";
  }
  return "unknown";
}

}  // namespace nearfar
