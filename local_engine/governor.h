// Holds an engine to what its device bears: no more tokens a second than it may generate, and fewer
// threads while the CPU is hot. It knows no session and no pass: the scheduler asks it.
//
// Tokens. A decode pass may begin once the tokens of those before have had their time at the
// limit's rate. What was missed by no more than a quarter of a second is caught up, so that passes
// that begin a little late do not add up; that is also the most that comes at once after a rest.
//
// Heat. A thread of its own reads the thermometer every second, since some sensors take their
// time. At the limit or above it half the threads work; if that does not cool in five seconds, half
// of those, down to one. After ten seconds at five degrees below the limit or less, one such step
// is taken back, and the next ten seconds later. A thermometer that can be read no longer changes
// nothing.
// Internal to local_engine. Held by tests/local_engine/governor_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_GOVERNOR_H_
#define NEARFAR_LOCAL_ENGINE_GOVERNOR_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "local_engine/base/doorbell.h"

namespace nearfar {

// When tokens may be generated. One caller at a time.
class TokenPace {
 public:
  explicit TokenPace(double tokens_per_second) : per_second_(tokens_per_second) {}

  // From `now` until some may; zero: they may now.
  absl::Duration Wait(absl::Time now) const;
  // Now `tokens` are generated.
  void Spend(int tokens, absl::Time now);

 private:
  const double per_second_;
  absl::Time next_ = absl::InfinitePast();
};

// How many threads work at which temperature. One caller at a time.
class HeatSteps {
 public:
  HeatSteps(double max_celsius, int threads) : max_celsius_(max_celsius), threads_(threads) {}

  // A reading; call with a `now` that does not go back.
  void Read(double celsius, absl::Time now);
  int threads() const;

 private:
  const double max_celsius_;
  const int threads_;
  int steps_ = 0;                                   // halvings in force
  absl::Time halved_ = absl::InfinitePast();        // last
  absl::Time cool_since_ = absl::InfiniteFuture();  // or since the last step back
};

struct GovernorOptions {
  // See EngineOptions.
  double max_tokens_per_second = 0;
  double max_temperature = 0;
  int threads = 1;  // that work while it is cool
  // Degrees Celsius, or empty where there is no reading. Called by Create, then on the governor's
  // thread. Empty = CpuCelsius (base/thermometer.h).
  std::function<std::optional<double>()> thermometer = {};
  // Must not go back nor block; called on any thread. Empty = the steady clock.
  std::function<absl::Time()> now = {};
  absl::Duration reading_period = absl::Seconds(1);
};

class Governor {
 public:
  // Takes the first reading. Errors: InvalidArgument (a limit that is none), FailedPrecondition
  // (max_temperature, and the thermometer has no reading), those of StartThread.
  static absl::StatusOr<std::unique_ptr<Governor>> Create(GovernorOptions options);
  // Of the two limits alone: whether they are numbers within their range.
  static absl::Status CheckLimits(double max_tokens_per_second, double max_temperature);
  ~Governor();
  Governor(const Governor&) = delete;
  Governor& operator=(const Governor&) = delete;

  // Thread-safe: how many threads may work now; the last reading, empty where nobody asked for one.
  int threads() const { return threads_.load(std::memory_order_relaxed); }
  std::optional<double> celsius() const;

  // For the scheduler thread: how long decoding must wait, and that so many tokens are decoded now.
  absl::Duration DecodeWait() const;
  void Spend(int tokens);

 private:
  explicit Governor(GovernorOptions options);

  void Measure();
  void Watch();

  const GovernorOptions options_;
  TokenPace pace_;
  HeatSteps heat_;  // Create's, then the thread's
  std::atomic<int> threads_;
  std::atomic<double> celsius_;  // NaN: none

  Doorbell stop_;
  std::thread thread_;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_GOVERNOR_H_
