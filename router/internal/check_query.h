// What is wrong with a query, before anything is done with it.
// Held by tests/router/internal/check_query_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_CHECK_QUERY_H_
#define NEARFAR_ROUTER_INTERNAL_CHECK_QUERY_H_

#include <string>

#include "absl/status/status.h"
#include "router/query.h"

namespace nearfar::internal {

// InvalidArgument names the field; no text of the query is in the message.
absl::Status CheckQuery(const Query& query);
absl::Status CheckSessionKey(const std::string& session_key);

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_CHECK_QUERY_H_
