#include "router/daemon/active_calls.h"

#include <utility>
#include <vector>

namespace nearfar::daemon {

absl::StatusOr<std::unique_ptr<ActiveCalls::Ticket>> ActiveCalls::Admit() {
  absl::MutexLock lock(&mutex_);
  if (closed_) return absl::UnavailableError("the daemon is shutting down");
  if (static_cast<int>(aborts_.size()) >= most_) {
    return absl::ResourceExhaustedError("as many calls run as limits.max_active allows");
  }
  const int64_t id = next_id_++;
  aborts_[id] = nullptr;
  return std::make_unique<Ticket>(this, id);
}

void ActiveCalls::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

void ActiveCalls::SetAbort(int64_t id, std::function<void()> abort) {
  {
    absl::MutexLock lock(&mutex_);
    if (!aborting_) {
      aborts_[id] = std::move(abort);
      return;
    }
  }
  abort();
}

void ActiveCalls::AbortAll() {
  std::vector<std::function<void()>> aborts;
  {
    absl::MutexLock lock(&mutex_);
    aborting_ = true;
    for (auto& [id, abort] : aborts_) {
      if (abort) aborts.push_back(std::move(abort));
    }
  }
  for (const auto& abort : aborts) abort();
}

void ActiveCalls::Remove(int64_t id) {
  std::function<void()> idle, abort;
  {
    absl::MutexLock lock(&mutex_);
    auto it = aborts_.find(id);
    abort = std::move(it->second);  // destroyed outside the lock: it may own the call
    aborts_.erase(it);
    if (closed_ && aborts_.empty()) idle = std::exchange(idle_, nullptr);
  }
  if (idle) idle();
}

void ActiveCalls::OnIdle(std::function<void()> done) {
  {
    absl::MutexLock lock(&mutex_);
    if (!aborts_.empty()) {
      idle_ = std::move(done);
      return;
    }
  }
  done();
}

int ActiveCalls::count() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(aborts_.size());
}

}  // namespace nearfar::daemon
