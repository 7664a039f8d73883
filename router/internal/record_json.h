// A decision record as one JSON object: what `nearfar log show --json` prints and replay reads.
// Text-like parts (prompt, answer, n-gram hashes) are written only where the policy keeps text.
// Held by tests/router/decision_log_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_RECORD_JSON_H_
#define NEARFAR_ROUTER_INTERNAL_RECORD_JSON_H_

#include <string>

#include "router/decision_log.h"

namespace nearfar::internal {

// "none", "turn", "session": as in policy files.
const char* TaintName(Taint taint);

std::string RecordJson(const DecisionRecord& record, bool keep_text);

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_RECORD_JSON_H_
