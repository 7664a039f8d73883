// nearfar.v1 messages to the router's plain values and back, checked: what arrives here comes from
// anyone. Pure. Held by tests/router/daemon/convert_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_CONVERT_H_
#define NEARFAR_ROUTER_DAEMON_CONVERT_H_

#include "absl/status/statusor.h"
#include "nearfar/v1/inference.pb.h"
#include "nearfar/v1/router.pb.h"
#include "policies/decision.h"
#include "router/backend.h"
#include "router/query.h"

namespace nearfar::daemon {

// Errors: InvalidArgument names the field: no message, an unknown role, a number that is not one or
// out of its range, too many or too long stop strings, a key that is too long.
absl::StatusOr<Query> ToQuery(const v1::RoutedRequest& request);
absl::StatusOr<BackendRequest> ToBackendRequest(const v1::GenerateRequest& request);

v1::Decision ToProto(const Decision& decision);
v1::RoutedResponse ToProto(const Started& event);
v1::RoutedResponse ToProto(const Delta& event);
v1::RoutedResponse ToProto(const Retract& event);
v1::RoutedResponse ToProto(const Finished& event);
v1::RoutedResponse ToProto(const Failed& event);
// The last event of a call that failed before the router had decided or spent anything.
v1::RoutedResponse FailureOf(const absl::Status& status);
v1::FinishReason ToProto(FinishReason reason);
v1::Usage ToProto(const Usage& usage);

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_CONVERT_H_
