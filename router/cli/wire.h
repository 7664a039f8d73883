// nearfar.v1 messages of RouterService to the router's plain values and back, as a client needs it.
// Pure. Held by tests/router/cli/wire_test.cc.

#ifndef NEARFAR_ROUTER_CLI_WIRE_H_
#define NEARFAR_ROUTER_CLI_WIRE_H_

#include <string>

#include "nearfar/v1/router.pb.h"
#include "policies/decision.h"
#include "router/query.h"

namespace nearfar::cli {

nearfar::v1::RoutedRequest ToWire(const Query& query);
Decision FromWire(const nearfar::v1::Decision& decision);
// `text` is what the deltas made.
Finished FromWire(const nearfar::v1::RoutedResponse::Finished& finished, std::string text);

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_WIRE_H_
