#include "router/daemon/signal_inbox.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "absl/time/clock.h"

namespace nearfar::daemon {

absl::StatusOr<std::unique_ptr<SignalInbox>> SignalInbox::Open() {
  sigset_t ours;
  sigemptyset(&ours);
  for (int signal : {SIGHUP, SIGTERM, SIGINT}) sigaddset(&ours, signal);
  sigset_t blocked = ours;
  sigaddset(&blocked, SIGPIPE);  // a peer that went away is a return value
  const int signal_fd = signalfd(-1, &ours, SFD_NONBLOCK | SFD_CLOEXEC);
  const int wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (pthread_sigmask(SIG_BLOCK, &blocked, nullptr) != 0 || signal_fd < 0 || wake_fd < 0) {
    return absl::InternalError("signals cannot be received (is the process out of descriptors?)");
  }
  return std::unique_ptr<SignalInbox>(new SignalInbox(signal_fd, wake_fd));
}

SignalInbox::~SignalInbox() {
  close(signal_fd_);
  close(wake_fd_);
}

SignalInbox::Event SignalInbox::Wait(absl::Time until) {
  while (true) {
    signalfd_siginfo info;
    if (read(signal_fd_, &info, sizeof(info)) == sizeof(info)) {
      return info.ssi_signo == SIGHUP ? Event::kReload : Event::kStop;
    }
    uint64_t count;
    if (read(wake_fd_, &count, sizeof(count)) == sizeof(count)) return Event::kWake;
    const absl::Duration left = until - absl::Now();
    if (left <= absl::ZeroDuration()) return Event::kTimeout;
    pollfd fds[] = {{signal_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
    const bool forever = left == absl::InfiniteDuration();
    poll(fds, 2,
         forever ? -1
                 : static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 60000)));
  }
}

void SignalInbox::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
}

}  // namespace nearfar::daemon
