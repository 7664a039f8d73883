// See log_writer.h.

#include "router/internal/log_writer.h"

#include <utility>

namespace nearfar::internal {
namespace {

constexpr size_t kMaxQueued = 4096;  // a record is a few KiB

}  // namespace

LogWriter::LogWriter(std::shared_ptr<DecisionLog> log)
    : log_(std::move(log)), thread_([this] { Run(); }) {}

LogWriter::~LogWriter() {
  {
    absl::MutexLock hold(&mu_);
    stop_ = true;
  }
  thread_.join();
}

void LogWriter::Append(DecisionRecord record, bool keep_text, absl::Duration keep) {
  absl::MutexLock hold(&mu_);
  if (queue_.size() >= kMaxQueued) {
    ++dropped_;
    return;
  }
  queue_.push_back({std::move(record), keep_text, keep});
}

void LogWriter::Flush() {
  absl::MutexLock hold(&mu_);
  auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return queue_.empty() && !writing_; };
  mu_.Await(absl::Condition(&idle));
}

int64_t LogWriter::dropped() const {
  absl::MutexLock hold(&mu_);
  return dropped_;
}

void LogWriter::Run() {
  auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stop_ || !queue_.empty(); };
  mu_.LockWhen(absl::Condition(&ready));
  while (!queue_.empty()) {
    Entry entry = std::move(queue_.front());
    queue_.pop_front();
    writing_ = true;
    mu_.Unlock();
    // A failed write is counted by the log itself.
    (void)log_->Append(entry.record, entry.keep_text, entry.keep);
    mu_.Lock();
    writing_ = false;
    mu_.Await(absl::Condition(&ready));
  }
  mu_.Unlock();
}

}  // namespace nearfar::internal
