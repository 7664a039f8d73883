// Re-reads the policy file: when asked (SIGHUP, the ReloadPolicy call) and when the file changes:
// was written and closed, renamed to its name, or linked. A file that is still being written is not
// put into force: what was read before its writer had closed it is dropped. A bad file never
// replaces a good one; what was wrong stays visible until a good one is read.
//
// Works on a thread of its own: reading certificates and keys may block. Thread-safe.
// Held by tests/router/daemon/policy_reloader_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_POLICY_RELOADER_H_
#define NEARFAR_ROUTER_DAEMON_POLICY_RELOADER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "policies/policy_config.h"
#include "router/daemon/file_watch.h"

namespace nearfar::daemon {

struct ReloadState {
  std::string name;      // of the policy in force
  std::string revision;  // of the policy in force
  absl::Status last;     // of the last attempt; OK before any
};

struct ReloaderOptions {
  std::string path;
  std::vector<std::string> search_paths;
  // Puts a checked policy into force; an error leaves the old one.
  std::function<absl::Status(const PolicyConfig& config)> apply;
  // Told of every attempt; for the log.
  std::function<void(const ReloadState& state)> report;
};

class PolicyReloader {
 public:
  // `current` is in force already; a file that says something else by now is read at once. Where
  // the system cannot watch files, only requests reload.
  PolicyReloader(ReloaderOptions options, const PolicyConfig& current);
  ~PolicyReloader();  // waits for a reload that runs; later requests are answered with Unavailable
  PolicyReloader(const PolicyReloader&) = delete;
  PolicyReloader& operator=(const PolicyReloader&) = delete;

  // Reloads soon, and then runs `done` on the reloader's thread. May be empty. One reload answers
  // all who asked before it began; with FailedPrecondition while somebody writes the file, which is
  // read by itself when it is closed.
  void Request(std::function<void(const ReloadState& state)> done = nullptr);
  ReloadState state() const;
  bool watches() const { return watch_.fd() >= 0; }

 private:
  void Run();
  void Reload();
  // What the file says while nobody writes it, as far as it is watched.
  absl::StatusOr<std::string> ReadWhole();
  void Wake();
  // Waits for a reason to reload; false = stop.
  bool Wait();

  const ReloaderOptions options_;
  int wake_fd_ = -1;  // eventfd
  FileWatch watch_;

  mutable absl::Mutex mutex_;
  ReloadState state_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void(const ReloadState&)>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool requested_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::string seen_;  // what the last attempt read; the thread's own
  std::thread thread_;
};

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_POLICY_RELOADER_H_
