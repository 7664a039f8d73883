#include "local_engine/governor.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "local_engine/base/start_thread.h"
#include "local_engine/base/thermometer.h"

namespace nearfar {
namespace {

constexpr absl::Duration kCatchUp = absl::Milliseconds(250);

constexpr absl::Duration kSettles = absl::Seconds(5);
constexpr absl::Duration kStaysCool = absl::Seconds(10);
constexpr double kCoolerBy = 5;

absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

GovernorOptions WithDefaults(GovernorOptions options) {
  if (options.thermometer == nullptr) options.thermometer = [] { return CpuCelsius(); };
  if (options.now == nullptr) options.now = SteadyNow;
  return options;
}

absl::Status NoThermometer() {
  return absl::FailedPreconditionError(
      "EngineOptions::max_temperature: no thermometer can be read below /sys/class/thermal and "
      "/sys/class/hwmon (set it to 0, or let this process read the device's sensors)");
}

}  // namespace

absl::Duration TokenPace::Wait(absl::Time now) const {
  return std::max(next_ - now, absl::ZeroDuration());
}

void TokenPace::Spend(int tokens, absl::Time now) {
  next_ = std::max(next_, now - kCatchUp) + absl::Seconds(tokens / per_second_);
}

void HeatSteps::Read(double celsius, absl::Time now) {
  if (celsius > max_celsius_ - kCoolerBy) {
    cool_since_ = absl::InfiniteFuture();
    if (celsius < max_celsius_ || now - halved_ < kSettles || threads() == 1) return;
    ++steps_;
    halved_ = now;
    return;
  }
  cool_since_ = std::min(cool_since_, now);
  if (steps_ == 0 || now - cool_since_ < kStaysCool) return;
  --steps_;
  cool_since_ = now;
}

int HeatSteps::threads() const {
  int threads = threads_;
  for (int step = 0; step < steps_; ++step) threads = (threads + 1) / 2;
  return threads;
}

absl::Status Governor::CheckLimits(double max_tokens_per_second, double max_temperature) {
  if (!(max_tokens_per_second >= 0) || std::isinf(max_tokens_per_second)) {
    return absl::InvalidArgumentError(
        absl::StrCat("EngineOptions::max_tokens_per_second: ", max_tokens_per_second,
                     " is no number >= 0 (0 = no limit)"));
  }
  if (!(max_temperature >= 0 && max_temperature <= kHottestReading)) {
    return absl::InvalidArgumentError(
        absl::StrCat("EngineOptions::max_temperature: ", max_temperature, " is outside [0, ",
                     kHottestReading, "] degrees Celsius (0 = none)"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Governor>> Governor::Create(GovernorOptions options) {
  const absl::Status status = CheckLimits(options.max_tokens_per_second, options.max_temperature);
  if (!status.ok()) return status;
  std::unique_ptr<Governor> governor(new Governor(WithDefaults(std::move(options))));
  if (governor->options_.max_temperature == 0) return governor;
  governor->Measure();
  if (!governor->celsius().has_value()) return NoThermometer();
  absl::StatusOr<std::thread> thread =
      StartThread("nearfar-heat", [watched = governor.get()] { watched->Watch(); });
  if (!thread.ok()) return thread.status();
  governor->thread_ = *std::move(thread);
  return governor;
}

Governor::Governor(GovernorOptions options)
    : options_(std::move(options)),
      pace_(options_.max_tokens_per_second),
      heat_(options_.max_temperature, options_.threads),
      threads_(options_.threads),
      celsius_(std::numeric_limits<double>::quiet_NaN()) {}

Governor::~Governor() {
  if (!thread_.joinable()) return;
  stop_.Ring();
  thread_.join();
}

void Governor::Measure() {
  const std::optional<double> celsius = options_.thermometer();
  celsius_ = celsius.value_or(std::numeric_limits<double>::quiet_NaN());
  if (!celsius.has_value()) return;
  heat_.Read(*celsius, options_.now());
  threads_ = heat_.threads();
}

void Governor::Watch() {
  while (!stop_.WaitFor(options_.reading_period)) Measure();
}

std::optional<double> Governor::celsius() const {
  const double celsius = celsius_;
  return std::isnan(celsius) ? std::nullopt : std::optional<double>(celsius);
}

absl::Duration Governor::DecodeWait() const {
  if (options_.max_tokens_per_second == 0) return absl::ZeroDuration();
  return pace_.Wait(options_.now());
}

void Governor::Spend(int tokens) {
  if (tokens == 0 || options_.max_tokens_per_second == 0) return;
  pace_.Spend(tokens, options_.now());
}

}  // namespace nearfar
