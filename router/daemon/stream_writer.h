// The sending half of a streaming call: events come from any thread, a client reads at its own
// pace, and exactly one status ends it.
//
// Events wait in a bounded queue while one write is under way; texts that wait are joined, so a
// slow reader gets fewer and larger messages. A reader that lets the queue run full is cut off: the
// memory of a call is bounded. Thread-safe. Held by tests/router/daemon/stream_writer_test.cc.

#ifndef NEARFAR_ROUTER_DAEMON_STREAM_WRITER_H_
#define NEARFAR_ROUTER_DAEMON_STREAM_WRITER_H_

#include <grpcpp/alarm.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "router/daemon/active_calls.h"

namespace nearfar::daemon {

template <typename Response>
class StreamWriter final : public grpc::ServerWriteReactor<Response>,
                           public std::enable_shared_from_this<StreamWriter<Response>> {
 public:
  // Adds `next` to `last` if both can travel as one; both are events that wait.
  using Join = bool (*)(Response* last, Response* next);
  static constexpr size_t kMostQueuedBytes = size_t{1} << 20;

  // gRPC owns the writer until its OnDone; others may hold it longer.
  static std::shared_ptr<StreamWriter> Make(grpc::CallbackServerContext* context, Join join) {
    auto writer = std::shared_ptr<StreamWriter>(new StreamWriter(context, join));
    writer->self_ = writer;
    return writer;
  }

  // Kept until the call is over.
  void Hold(std::unique_ptr<ActiveCalls::Ticket> ticket) {
    ticket->OnAbort([weak = this->weak_from_this()] {
      if (auto self = weak.lock()) {
        self->Stop(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the daemon is shutting down"));
      }
    });
    ticket_ = std::move(ticket);
  }

  // `gone` runs at most once: when nobody waits for the answer any more. At once if it is so.
  void OnGone(std::function<void()> gone) {
    {
      absl::MutexLock lock(&mutex_);
      if (over_) return;
      if (!gone_already_) {
        gone_ = std::move(gone);
        return;
      }
    }
    gone();
  }

  // Cuts the call off at `deadline`, should its producer not have ended it by then.
  void EndBy(absl::Time deadline) {
    alarm_.Set(absl::ToChronoTime(deadline), [weak = this->weak_from_this()](bool reached) {
      auto self = weak.lock();
      if (!reached || !self) return;
      self->Stop(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "the time of this call is up"));
      self->CutStalledWrite();
    });
  }

  void Push(Response event) {
    bool full = false;
    {
      absl::MutexLock lock(&mutex_);
      if (end_ || broken_) return;
      if (!queue_.empty() && join_(&queue_.back(), &event)) {
        queued_bytes_ += event.ByteSizeLong();
      } else {
        queued_bytes_ += event.ByteSizeLong();
        queue_.push_back(std::move(event));
      }
      full = queued_bytes_ > kMostQueuedBytes;
    }
    if (full) {
      Stop(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the client does not read"));
      CutStalledWrite();
      return;
    }
    Advance();
  }

  // The status of the call, sent behind all events. The first one counts.
  void End(grpc::Status status) {
    {
      absl::MutexLock lock(&mutex_);
      if (end_) return;
      end_ = std::move(status);
    }
    Advance();
  }

  // Ends the call with `status` and lets its producer know.
  void Stop(grpc::Status status) {
    End(std::move(status));
    TellGone();
  }

 private:
  StreamWriter(grpc::CallbackServerContext* context, Join join) : context_(context), join_(join) {}

  // Takes the next step, if there is one: a write, or the finish. One step at a time is under way.
  void Advance() {
    bool finish = false;
    {
      absl::MutexLock lock(&mutex_);
      if (busy_) return;
      if (broken_) queue_.clear();
      if (!queue_.empty()) {
        current_ = std::move(queue_.front());
        queue_.pop_front();
        if (queue_.empty()) queued_bytes_ = 0;
      } else if (end_) {
        finish = true;
      } else {
        return;
      }
      busy_ = true;
    }
    // end_ does not change any more once it is set.
    if (finish) return this->Finish(*end_);
    this->StartWrite(&current_);
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      busy_ = false;
      if (!ok) broken_ = true;
    }
    Advance();
  }

  void OnCancel() override {
    {
      absl::MutexLock lock(&mutex_);
      broken_ = true;
    }
    TellGone();
  }

  void OnDone() override {
    std::function<void()> gone;
    {
      absl::MutexLock lock(&mutex_);
      over_ = true;
      gone = std::move(gone_);  // may own the producer, which owns this
    }
    alarm_.Cancel();
    ticket_.reset();
    self_.reset();  // may delete this
  }

  void TellGone() {
    std::function<void()> gone;
    {
      absl::MutexLock lock(&mutex_);
      if (over_ || std::exchange(gone_already_, true)) return;
      gone = std::exchange(gone_, nullptr);
    }
    if (gone) gone();
  }

  // A write that a client does not take would keep the status behind it for ever.
  void CutStalledWrite() {
    absl::MutexLock lock(&mutex_);
    broken_ = true;
    if (busy_ && !over_) context_->TryCancel();
  }

  grpc::CallbackServerContext* const context_;  // valid until OnDone
  const Join join_;
  std::shared_ptr<StreamWriter> self_;
  std::unique_ptr<ActiveCalls::Ticket> ticket_;
  grpc::Alarm alarm_;
  Response current_;

  absl::Mutex mutex_;
  std::deque<Response> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // at least what waits
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;        // a write or the finish is under way
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;      // nothing can be sent any more
  bool gone_already_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_;  // set once, under mutex_
  std::function<void()> gone_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_STREAM_WRITER_H_
