// Signals as events that one thread waits for, beside wakes of our own. No handler runs anywhere.
// Held by tests/router/daemon/program_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_SIGNAL_INBOX_H_
#define NEARFAR_ROUTER_DAEMON_SIGNAL_INBOX_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace nearfar::daemon {

class SignalInbox {
 public:
  enum class Event { kReload, kStop, kWake, kTimeout };

  // Blocks SIGHUP, SIGTERM, SIGINT and SIGPIPE for this thread and those that it starts from now
  // on: call it first. Errors: Internal.
  static absl::StatusOr<std::unique_ptr<SignalInbox>> Open();
  ~SignalInbox();

  // SIGHUP is kReload; SIGTERM and SIGINT are kStop. One thread at a time.
  Event Wait(absl::Time until);
  void Wake();  // thread-safe

 private:
  SignalInbox(int signal_fd, int wake_fd) : signal_fd_(signal_fd), wake_fd_(wake_fd) {}
  const int signal_fd_, wake_fd_;
};

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_SIGNAL_INBOX_H_
