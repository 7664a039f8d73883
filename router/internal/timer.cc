// See timer.h. Entries are kept in a map by time; the thread sleeps until the first.

#include "router/internal/timer.h"

#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace nearfar::internal {
namespace {

// Shared with the thread, which may outlive the timer by a moment (see ~ThreadTimer).
struct State {
  absl::Mutex mu;
  bool stop ABSL_GUARDED_BY(mu) = false;
  uint64_t next_id ABSL_GUARDED_BY(mu) = 1;
  std::map<std::pair<absl::Time, uint64_t>, std::function<void()>> entries ABSL_GUARDED_BY(mu);
  std::map<uint64_t, absl::Time> times ABSL_GUARDED_BY(mu);
  absl::CondVar changed;
};

// The first entry that is due, or nothing when the timer stops.
std::function<void()> WaitForNext(State* state) {
  absl::MutexLock hold(&state->mu);
  while (!state->stop) {
    if (state->entries.empty()) {
      state->changed.Wait(&state->mu);
      continue;
    }
    auto first = state->entries.begin();
    if (first->first.first > absl::Now()) {
      state->changed.WaitWithDeadline(&state->mu, first->first.first);
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
    std::map<std::pair<absl::Time, uint64_t>, std::function<void()>> forgotten;
    {
      absl::MutexLock hold(&state_->mu);
      state_->stop = true;
      forgotten.swap(state_->entries);
      state_->changed.Signal();
    }
    // The last owner may let go from within a callback: a thread cannot join itself.
    if (std::this_thread::get_id() == thread_.get_id()) {
      thread_.detach();
    } else {
      thread_.join();
    }
  }

  uint64_t Schedule(absl::Duration delay, std::function<void()> run) override {
    absl::Time when = absl::Now() + delay;
    absl::MutexLock hold(&state_->mu);
    uint64_t id = state_->next_id++;
    state_->entries.emplace(std::pair(when, id), std::move(run));
    state_->times.emplace(id, when);
    state_->changed.Signal();
    return id;
  }

  void Cancel(uint64_t id) override {
    std::function<void()> forgotten;
    absl::MutexLock hold(&state_->mu);
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

std::shared_ptr<Timer> MakeThreadTimer() { return std::make_shared<ThreadTimer>(); }

}  // namespace nearfar::internal
