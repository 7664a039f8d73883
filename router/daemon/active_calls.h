// The calls that run in this daemon: how many may, and how they end when it does.
// Thread-safe. Held by tests/router/daemon/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_ACTIVE_CALLS_H_
#define NEARFAR_ROUTER_DAEMON_ACTIVE_CALLS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace nearfar::daemon {

// What a call is admitted as. An operator's is not refused because answers take every place, and
// takes none of theirs.
enum class CallKind { kAnswer, kOperator };

// That run at once.
inline constexpr int kMostOperatorCalls = 16;

class ActiveCalls {
 public:
  // At most `most` answers at once.
  explicit ActiveCalls(int most) : most_(most) {}

  // One running call; ends with its last owner. Must not outlive the ActiveCalls.
  class Ticket {
   public:
    explicit Ticket(ActiveCalls* calls, int64_t id) : calls_(calls), id_(id) {}
    ~Ticket() { calls_->Remove(id_); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    // What AbortAll does to this call; runs at once if that was already asked for.
    void OnAbort(std::function<void()> abort) { calls_->SetAbort(id_, std::move(abort)); }

   private:
    ActiveCalls* const calls_;
    const int64_t id_;
  };

  // Errors: ResourceExhausted (as many run as may), Unavailable (closed).
  absl::StatusOr<std::unique_ptr<Ticket>> Admit(CallKind kind = CallKind::kAnswer);
  // Admits nothing from now on.
  void Close();
  // Ends every call that runs. Close comes first.
  void AbortAll();
  int count() const;
  // Runs `done` once when, after Close, no call is left; at once if none is.
  void OnIdle(std::function<void()> done);

 private:
  struct Call {
    CallKind kind;
    std::function<void()> abort;
  };

  void Remove(int64_t id);
  void SetAbort(int64_t id, std::function<void()> abort);

  const int most_;
  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool aborting_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<int64_t, Call> running_ ABSL_GUARDED_BY(mutex_);
  int operators_ ABSL_GUARDED_BY(mutex_) = 0;  // of those that run
  std::function<void()> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_ACTIVE_CALLS_H_
