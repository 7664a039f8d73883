// Refuses calls at once while the breaker is open, and tells the breaker how the others end. It
// stands below the retries, so each attempt counts and an open breaker ends a retry. Held by
// tests/cloud_client/stub/breaker_stub_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_STUB_BREAKER_STUB_H_
#define NEARFAR_CLOUD_CLIENT_STUB_BREAKER_STUB_H_

#include <memory>

#include "cloud_client/stub/breaker.h"
#include "cloud_client/stub/stub.h"

namespace nearfar {

std::shared_ptr<CloudStub> MakeBreakerStub(std::shared_ptr<CloudStub> inner,
                                           std::shared_ptr<Breaker> breaker);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_STUB_BREAKER_STUB_H_
