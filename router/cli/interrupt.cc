// See interrupt.h.

#include "router/cli/interrupt.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cassert>
#include <csignal>
#include <utility>

namespace nearfar::cli {
namespace {

sigset_t OnlySigint() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

Interrupt::Interrupt() {
  const sigset_t set = OnlySigint();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  stop_ = eventfd(0, EFD_CLOEXEC);
  assert(signals_ >= 0 && stop_ >= 0);
  thread_ = std::thread([this] { Watch(); });
}

Interrupt::~Interrupt() {
  const uint64_t one = 1;
  (void)!write(stop_, &one, sizeof(one));
  thread_.join();
  close(signals_);
  close(stop_);
  const sigset_t set = OnlySigint();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void Interrupt::OnInterrupt(std::function<void()> action) {
  absl::MutexLock lock(&mutex_);
  action_ = std::move(action);
  if (action_ && waiting_) {
    waiting_ = false;
    action_();
  }
}

void Interrupt::Watch() {
  pollfd watched[] = {{signals_, POLLIN, 0}, {stop_, POLLIN, 0}};
  while (true) {
    if (poll(watched, 2, -1) < 0) continue;
    if (watched[1].revents != 0) return;
    signalfd_siginfo info;
    if (read(signals_, &info, sizeof(info)) != sizeof(info)) continue;
    absl::MutexLock lock(&mutex_);
    if (action_) {
      action_();
    } else {
      waiting_ = true;
    }
  }
}

}  // namespace nearfar::cli
