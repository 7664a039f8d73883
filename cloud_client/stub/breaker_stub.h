// Refuses calls at once while the breaker is open, and tells the breaker how the others end. It
// stands below the retries, so each attempt counts and an open breaker ends a retry.
//
// An answer of any kind means that the server lives. A call that ran out of time (its deadline, or
// abandoned as too slow) is judged by the silence it ended in, since its last text or its begin: a
// fair time of it is a failure; less is a success where text came and means nothing where none did,
// so that callers in a hurry do not close the way for others. A cancel means nothing. Held by
// tests/cloud_client/stub/breaker_stub_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_STUB_BREAKER_STUB_H_
#define NEARFAR_CLOUD_CLIENT_STUB_BREAKER_STUB_H_

#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "cloud_client/stub/breaker.h"
#include "cloud_client/stub/stub.h"

namespace nearfar {

struct SilenceOptions {
  std::function<absl::Duration()> fair_wait;  // as known now
  std::function<absl::Time()> steady;
};

std::shared_ptr<CloudStub> MakeBreakerStub(std::shared_ptr<CloudStub> inner,
                                           std::shared_ptr<Breaker> breaker,
                                           SilenceOptions silence);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_STUB_BREAKER_STUB_H_
