#include "cloud_client/stub/timer.h"

#include <grpcpp/alarm.h>

#include <chrono>
#include <memory>
#include <utility>

namespace nearfar {

void RunAfter(absl::Duration delay, std::function<void()> done) {
  auto alarm = std::make_shared<grpc::Alarm>();
  // The callback keeps its own alarm; gRPC drops the callback, and with it the alarm, after the
  // call.
  alarm->Set(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(delay),
             [alarm, done = std::move(done)](bool) mutable {
               done();
               alarm.reset();
             });
}

std::function<void(absl::Duration, std::function<void()>)> TimerOf(const CloudOptions& options) {
  return options.after ? options.after : RunAfter;
}

}  // namespace nearfar
