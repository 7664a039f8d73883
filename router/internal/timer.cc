// See timer.h. Entries are kept in a map by time; the thread sleeps until the first. Times are of
// the steady clock, so that setting the wall clock moves no deadline; absl's condition variable
// waits by the wall clock, so the standard one is used.

#include "router/internal/timer.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace nearfar::internal {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Entries = std::map<std::pair<SteadyClock::time_point, uint64_t>, std::function<void()>>;

// Far enough to be never, near enough to be added to a time.
constexpr absl::Duration kLongest = absl::Hours(24 * 365);

SteadyClock::time_point TimeAfter(absl::Duration delay) {
  return SteadyClock::now() + absl::ToChronoNanoseconds(std::clamp(delay, -kLongest, kLongest));
}

// Shared with the thread, which may outlive the timer by a moment (see ~ThreadTimer). `mu` guards
// all of it.
struct State {
  std::mutex mu;
  bool stop = false;
  uint64_t next_id = 1;
  Entries entries;
  std::map<uint64_t, SteadyClock::time_point> times;
  std::condition_variable changed;
};

// The first entry that is due, or nothing when the timer stops.
std::function<void()> WaitForNext(State* state) {
  std::unique_lock<std::mutex> hold(state->mu);
  while (!state->stop) {
    if (state->entries.empty()) {
      state->changed.wait(hold);
      continue;
    }
    auto first = state->entries.begin();
    const SteadyClock::time_point due = first->first.first;
    if (due > SteadyClock::now()) {
      state->changed.wait_until(hold, due);
      continue;
    }
    std::function<void()> run = std::move(first->second);
    state->times.erase(first->first.second);
    state->entries.erase(first);
    return run;
  }
  return nullptr;
}

void RunTimer(const std::shared_ptr<State>& state) {
  while (std::function<void()> run = WaitForNext(state.get())) run();
}

class ThreadTimer : public Timer {
 public:
  ThreadTimer() : thread_([state = state_] { RunTimer(state); }) {}

  ~ThreadTimer() override {
    // What is forgotten is destroyed after the lock is given back: it may own anything.
    Entries forgotten;
    {
      std::lock_guard<std::mutex> hold(state_->mu);
      state_->stop = true;
      forgotten.swap(state_->entries);
      state_->changed.notify_one();
    }
    // The last owner may let go from within a callback: a thread cannot join itself.
    if (std::this_thread::get_id() == thread_.get_id()) {
      thread_.detach();
    } else {
      thread_.join();
    }
  }

  absl::Time Now() const override { return SteadyNow(); }

  uint64_t Schedule(absl::Duration delay, std::function<void()> run) override {
    const SteadyClock::time_point when = TimeAfter(delay);
    std::lock_guard<std::mutex> hold(state_->mu);
    uint64_t id = state_->next_id++;
    state_->entries.emplace(std::pair(when, id), std::move(run));
    state_->times.emplace(id, when);
    state_->changed.notify_one();
    return id;
  }

  void Cancel(uint64_t id) override {
    std::function<void()> forgotten;
    std::lock_guard<std::mutex> hold(state_->mu);
    auto time = state_->times.find(id);
    if (time == state_->times.end()) return;
    auto entry = state_->entries.find({time->second, id});
    forgotten = std::move(entry->second);
    state_->entries.erase(entry);
    state_->times.erase(time);
  }

 private:
  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::thread thread_;
};

}  // namespace

absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(SteadyClock::now().time_since_epoch());
}

std::shared_ptr<Timer> MakeThreadTimer() { return std::make_shared<ThreadTimer>(); }

}  // namespace nearfar::internal
