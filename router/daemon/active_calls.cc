#include "router/daemon/active_calls.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace nearfar::daemon {

absl::StatusOr<std::unique_ptr<ActiveCalls::Ticket>> ActiveCalls::Admit(CallKind kind) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return absl::UnavailableError("the daemon is shutting down");
  if (kind == CallKind::kOperator) {
    if (operators_ >= kMostOperatorCalls) {
      return absl::ResourceExhaustedError(
          absl::StrCat("as many operators' calls run as may: ", kMostOperatorCalls));
    }
    ++operators_;
  } else if (static_cast<int>(running_.size()) - operators_ >= most_) {
    return absl::ResourceExhaustedError("as many calls run as limits.max_active allows");
  }
  const int64_t id = next_id_++;
  running_[id] = {kind, nullptr};
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
      running_[id].abort = std::move(abort);
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
    for (auto& [id, call] : running_) {
      if (call.abort) aborts.push_back(std::move(call.abort));
    }
  }
  for (const auto& abort : aborts) abort();
}

void ActiveCalls::Remove(int64_t id) {
  std::function<void()> idle, abort;
  {
    absl::MutexLock lock(&mutex_);
    auto it = running_.find(id);
    if (it->second.kind == CallKind::kOperator) --operators_;
    abort = std::move(it->second.abort);  // destroyed outside the lock: it may own the call
    running_.erase(it);
    if (closed_ && running_.empty()) idle = std::exchange(idle_, nullptr);
  }
  if (idle) idle();
}

void ActiveCalls::OnIdle(std::function<void()> done) {
  {
    absl::MutexLock lock(&mutex_);
    if (!running_.empty()) {
      idle_ = std::move(done);
      return;
    }
  }
  done();
}

int ActiveCalls::count() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(running_.size());
}

}  // namespace nearfar::daemon
