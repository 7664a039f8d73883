#include "cloud_client/stub/make_stub.h"

#include <cmath>
#include <functional>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cloud_client/protocols/nearfar.h"
#include "cloud_client/stub/auth_stub.h"
#include "cloud_client/stub/breaker_stub.h"
#include "cloud_client/stub/retry_stub.h"
#include "cloud_client/stub/timer.h"

namespace nearfar {
namespace {

constexpr ProtocolEntry kProtocols[] = {
    {"nearfar", &MakeNearfarProtocol},
};

absl::Status Wrong(const CloudOptions& options, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("far target \"", options.name, "\": ", what));
}

bool IsAmount(double usd) { return std::isfinite(usd) && usd >= 0; }

absl::Status CheckNumbers(const CloudOptions& options) {
  if (!IsAmount(options.input_usd_per_mtok) || !IsAmount(options.output_usd_per_mtok)) {
    return Wrong(options, "a price is not an amount (0 or more USD per million tokens)");
  }
  if (options.retry_attempts < 1) return Wrong(options, "retry_attempts is below 1");
  if (options.breaker_failures < 1) return Wrong(options, "breaker_failures is below 1");
  if (options.max_message_bytes < 1024 || options.max_message_bytes > (1 << 30)) {
    return Wrong(options, "max_message_bytes is not within 1 KiB and 1 GiB");
  }
  for (absl::Duration d :
       {options.keepalive_time, options.keepalive_timeout, options.connect_timeout,
        options.connect_patience, options.breaker_open}) {
    if (d <= absl::ZeroDuration() || d > absl::Hours(24)) {
      return Wrong(options, "a time is not within 0 and 24 hours");
    }
  }
  if (options.expected_ttft < absl::ZeroDuration()) return Wrong(options, "a time is negative");
  if (options.retry_base < absl::ZeroDuration() || options.retry_cap < absl::ZeroDuration()) {
    return Wrong(options, "a retry pause is negative");
  }
  return absl::OkStatus();
}

// Jitter has to differ between devices, so that they do not come back all at once.
std::function<double()> SeededUniform() {
  struct State {
    absl::Mutex mutex;
    std::mt19937_64 generator{std::random_device{}()};
  };
  auto state = std::make_shared<State>();
  return [state] {
    absl::MutexLock lock(&state->mutex);
    return std::uniform_real_distribution<double>(0, 1)(state->generator);
  };
}

RetryOptions RetryOptionsOf(const CloudOptions& options,
                            std::shared_ptr<std::atomic<int64_t>> retries) {
  RetryOptions retry;
  retry.attempts = options.retry_attempts;
  retry.base = options.retry_base;
  retry.cap = options.retry_cap;
  retry.clock = options.clock;
  retry.uniform = options.uniform ? options.uniform : SeededUniform();
  retry.after = TimerOf(options);
  retry.retries = std::move(retries);
  return retry;
}

// A call that had less than the fair wait was too short to tell a slow server from a dead one.
SilenceOptions SilenceOptionsOf(const CloudOptions& options, std::shared_ptr<const Meter> meter) {
  SilenceOptions silence;
  silence.fair_wait = [patience = options.connect_patience, expected = options.expected_ttft,
                       meter = std::move(meter)] {
    const std::optional<double> measured = meter->Read().ttft_seconds;
    return patience + 2 * (measured ? absl::Seconds(*measured) : expected);
  };
  silence.steady = options.steady;
  return silence;
}

}  // namespace

absl::Span<const ProtocolEntry> AllProtocols() { return kProtocols; }

absl::StatusOr<StubStack> StackDecorators(std::shared_ptr<CloudStub> protocol,
                                          const CloudOptions& options) {
  StubStack stack;
  stack.top = std::move(protocol);
  if (!options.api_key.empty()) {
    absl::StatusOr<std::shared_ptr<CloudStub>> auth = MakeAuthStub(stack.top, options.api_key);
    if (!auth.ok()) return Wrong(options, std::string(auth.status().message()));
    stack.top = *std::move(auth);
  }
  stack.breaker = std::make_shared<Breaker>(options.breaker_failures, options.breaker_open,
                                            options.breaker_open_cap, options.steady);
  stack.meter = std::make_shared<Meter>();
  stack.top =
      MakeBreakerStub(std::move(stack.top), stack.breaker, SilenceOptionsOf(options, stack.meter));
  stack.retries = std::make_shared<std::atomic<int64_t>>(0);
  stack.top = MakeRetryStub(std::move(stack.top), RetryOptionsOf(options, stack.retries));
  stack.top = MakeMeteringStub(std::move(stack.top), stack.meter, {options.clock, options.steady});
  return stack;
}

absl::StatusOr<StubStack> MakeStub(const CloudOptions& options) {
  absl::Status numbers = CheckNumbers(options);
  if (!numbers.ok()) return numbers;
  std::vector<std::string> names;
  for (const ProtocolEntry& entry : AllProtocols()) {
    names.push_back(entry.name);
    if (options.protocol != entry.name) continue;
    absl::StatusOr<std::shared_ptr<CloudStub>> protocol = entry.make(options);
    if (!protocol.ok()) return protocol.status();
    return StackDecorators(*std::move(protocol), options);
  }
  return Wrong(options, absl::StrCat("unknown protocol \"", options.protocol,
                                     "\" (known: ", absl::StrJoin(names, ", "), ")"));
}

}  // namespace nearfar
