// The one factory of far calls: picks the protocol and stacks the decorators on it.
//
//   metering > retry > breaker > auth > protocol
//
// Held by tests/cloud_client/stub/make_stub_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_STUB_MAKE_STUB_H_
#define NEARFAR_CLOUD_CLIENT_STUB_MAKE_STUB_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "cloud_client/options.h"
#include "cloud_client/stub/breaker.h"
#include "cloud_client/stub/metering_stub.h"
#include "cloud_client/stub/stub.h"

namespace nearfar {

// A protocol: one file in protocols/ and one entry in make_stub.cc.
struct ProtocolEntry {
  const char* name;
  absl::StatusOr<std::shared_ptr<CloudStub>> (*make)(const CloudOptions& options);
};
absl::Span<const ProtocolEntry> AllProtocols();

struct StubStack {
  std::shared_ptr<CloudStub> top;
  std::shared_ptr<Breaker> breaker;
  std::shared_ptr<Meter> meter;
  std::shared_ptr<std::atomic<int64_t>> retries;
};

// Errors: InvalidArgument, naming the target: an unknown protocol, a bad address, certificate, key
// or number.
absl::StatusOr<StubStack> MakeStub(const CloudOptions& options);

// The decorators alone, over any stub; for MakeStub and for tests.
absl::StatusOr<StubStack> StackDecorators(std::shared_ptr<CloudStub> protocol,
                                          const CloudOptions& options);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_STUB_MAKE_STUB_H_
