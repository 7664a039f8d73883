// Adds the bearer token of options.api_key to every call. The token is kept here and in the call's
// metadata alone; no message ever names it. Held by tests/cloud_client/stub/auth_stub_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_STUB_AUTH_STUB_H_
#define NEARFAR_CLOUD_CLIENT_STUB_AUTH_STUB_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "cloud_client/stub/stub.h"

namespace nearfar {

// Errors: InvalidArgument for a key that cannot be a metadata value (a stray newline of its file).
absl::StatusOr<std::shared_ptr<CloudStub>> MakeAuthStub(std::shared_ptr<CloudStub> inner,
                                                        const std::string& api_key);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_STUB_AUTH_STUB_H_
