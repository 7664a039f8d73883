// Tries a call again, before the first event of its answer only.
//
// Pause before try n: uniform in [0, min(cap, base * 2^(n-1))) ("full jitter", AWS Architecture
// Blog, 2015), or exactly the server's push-back; one above the cap means that this call need not
// wait for it. A retry that would start after the deadline is not waited for. All calls share one
// budget (gRFC A6): it starts at 10, a failed attempt takes 1, a success gives 0.1, and at half of
// it or below nothing is retried, so that a far side in trouble is not made to carry three times
// its load. Thread-safe. Held by tests/cloud_client/stub/retry_stub_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_STUB_RETRY_STUB_H_
#define NEARFAR_CLOUD_CLIENT_STUB_RETRY_STUB_H_

#include <atomic>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cloud_client/stub/stub.h"

namespace nearfar {

class RetryBudget {
 public:
  void Succeed();
  void Fail();
  bool Allows() const;

 private:
  static constexpr int kMillis = 10 * 1000;  // thousandths, as A6 counts
  mutable absl::Mutex mutex_;
  int millis_ ABSL_GUARDED_BY(mutex_) = kMillis;
};

struct RetryOptions {
  int attempts = 3;  // including the first
  absl::Duration base = absl::Milliseconds(100);
  absl::Duration cap = absl::Seconds(1);
  std::function<absl::Time()> clock;
  std::function<double()> uniform;
  std::function<void(absl::Duration, std::function<void()>)> after;
  std::shared_ptr<std::atomic<int64_t>> retries;  // counts attempts beyond the first
};

std::shared_ptr<CloudStub> MakeRetryStub(std::shared_ptr<CloudStub> inner, RetryOptions options);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_STUB_RETRY_STUB_H_
