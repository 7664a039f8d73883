#include "policies/signals.h"

namespace nearfar {

const char* RouteName(Route route) {
  switch (route) {
    case Route::kNear:
      return "near";
    case Route::kFar:
      return "far";
    case Route::kDraft:
      return "draft";
    case Route::kRefuse:
      return "refuse";
  }
  return "unknown";
}

const char* HealthName(Health health) {
  switch (health) {
    case Health::kUnknown:
      return "unknown";
    case Health::kHealthy:
      return "healthy";
    case Health::kBreakerOpen:
      return "breaker_open";
    case Health::kUnreachable:
      return "unreachable";
  }
  return "unknown";
}

}  // namespace nearfar
