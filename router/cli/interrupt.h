// Ctrl-C as a call: while one lives, SIGINT no longer ends the program but calls back. Make it
// before anything that starts threads, so that they inherit the blocked signal. One at a time.

#ifndef NEARFAR_ROUTER_CLI_INTERRUPT_H_
#define NEARFAR_ROUTER_CLI_INTERRUPT_H_

#include <functional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace nearfar::cli {

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // What Ctrl-C does from now on; empty = it waits for the next action. Returns after a call that
  // is under way. The call comes from a thread of its own, or at once from here where one was
  // waiting.
  void OnInterrupt(std::function<void()> action);

 private:
  void Watch();

  int signals_ = -1;  // a signalfd
  int stop_ = -1;     // an eventfd, written by the destructor
  absl::Mutex mutex_;
  std::function<void()> action_ ABSL_GUARDED_BY(mutex_);
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// What Ctrl-C does while this lives; it may refer to what was made before.
class InterruptAction {
 public:
  InterruptAction(Interrupt* interrupt, std::function<void()> action) : interrupt_(interrupt) {
    interrupt_->OnInterrupt(std::move(action));
  }
  ~InterruptAction() { interrupt_->OnInterrupt(nullptr); }
  InterruptAction(const InterruptAction&) = delete;
  InterruptAction& operator=(const InterruptAction&) = delete;

 private:
  Interrupt* const interrupt_;
};

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_INTERRUPT_H_
