// How calls end and how fast they are: keeps the counters and moving averages of CloudHealth. A
// bill passes through: what is owed is for whoever knows the policy's price and the reservation
// (router/internal/call_sink.h). The outermost decorator, so that a call counts once however often
// it was tried, and its time to the first token includes the tries. Thread-safe. Held by
// tests/cloud_client/stub/metering_stub_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_STUB_METERING_STUB_H_
#define NEARFAR_CLOUD_CLIENT_STUB_METERING_STUB_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cloud_client/stub/stub.h"

namespace nearfar {

struct MeterReading {
  int64_t calls = 0;                   // ended ones, those refused by an open breaker not counted
  int64_t failures = 0;                // of them, not counting our own cancels
  std::optional<double> ttft_seconds;  // exponential moving averages, weight 0.3 for the newest
  std::optional<double> tokens_per_second;  // after the first text
  double billed_usd = 0;                    // by the servers' own bills
  bool last_call_succeeded = false;
  std::optional<CloudModel> model;  // what a call or GetModel last told
};

class Meter {
 public:
  void Finish(const CloudFinished& event, std::optional<absl::Duration> ttft,
              absl::Duration decode);
  void Fail(const CloudError& error);
  void Learn(const CloudStarted& event);
  void Learn(const CloudModel& model);
  MeterReading Read() const;

 private:
  mutable absl::Mutex mutex_;
  MeterReading reading_ ABSL_GUARDED_BY(mutex_);
};

struct MeteringOptions {
  std::function<absl::Time()> clock;   // deadlines are told by it
  std::function<absl::Time()> steady;  // times are measured by it
};

std::shared_ptr<CloudStub> MakeMeteringStub(std::shared_ptr<CloudStub> inner,
                                            std::shared_ptr<Meter> meter, MeteringOptions options);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_STUB_METERING_STUB_H_
