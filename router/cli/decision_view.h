// A decision for people and for programs. Pure. Held by tests/router/cli/decision_view_test.cc.

#ifndef NEARFAR_ROUTER_CLI_DECISION_VIEW_H_
#define NEARFAR_ROUTER_CLI_DECISION_VIEW_H_

#include <string>

#include "policies/decision.h"
#include "router/cli/terminal.h"
#include "router/internal/json_writer.h"

namespace nearfar::cli {

// "far (home-server)", "draft", ...
std::string RouteText(const Decision& decision);

// A number with its unit as people write it: "$0.00042", "73.0 %", "1.25 s", "48 tokens".
std::string ValueText(double value, const std::string& unit);

// The decision as a table: route and reason, the numbers that were weighed, what would flip it.
std::string FormatDecision(const Decision& decision, const Terminal& terminal);

// As one JSON object, the next value of `json`.
void DecisionJson(const Decision& decision, internal::JsonWriter* json);

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_DECISION_VIEW_H_
