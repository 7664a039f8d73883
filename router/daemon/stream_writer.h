// The sending half of a streaming call: events come from any thread, a client reads at its own
// pace, and exactly one status ends it. Where the protocol has a last event of its own, that event
// and the status are set in one step (EndWith), so that they never contradict each other.
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
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "router/daemon/active_calls.h"
#include "router/daemon/call_limits.h"

namespace nearfar::daemon {

template <typename Response>
class StreamWriter final : public grpc::ServerWriteReactor<Response>,
                           public std::enable_shared_from_this<StreamWriter<Response>> {
 public:
  // Adds `next` to `last` if both can travel as one; both are events that wait.
  using Join = bool (*)(Response* last, Response* next);
  // The protocol's last event of a call that fails with `status` and whose producer said none.
  using Failure = Response (*)(const grpc::Status& status);
  // What either side gets for its part of an end that is forced upon it: a producer, to end the
  // call in its own words at an abort; a client, to take the last event and the status when it is
  // cut off. kLastWords of daemon.cc is longer.
  static constexpr absl::Duration kPatience = absl::Milliseconds(500);

  // gRPC owns the writer until its OnDone; others may hold it longer. `failure` is nullptr where a
  // failed call ends with its status alone.
  static std::shared_ptr<StreamWriter> Make(grpc::CallbackServerContext* context, Join join,
                                            Failure failure = nullptr,
                                            absl::Duration patience = kPatience) {
    auto writer = std::shared_ptr<StreamWriter>(new StreamWriter(context, join, failure, patience));
    writer->self_ = writer;
    return writer;
  }

  // Kept until the call is over.
  void Hold(std::unique_ptr<ActiveCalls::Ticket> ticket) {
    ticket->OnAbort([weak = this->weak_from_this()] {
      if (auto self = weak.lock()) self->Abort();
    });
    ticket_ = std::move(ticket);
  }

  // `gone` runs at most once: when nobody waits for the answer any more. At once if it is so, even
  // if the call is over by then: its producer may not know.
  void OnGone(std::function<void()> gone) {
    {
      absl::MutexLock lock(&mutex_);
      if (!gone_already_) {
        if (!over_) gone_ = std::move(gone);
        return;
      }
    }
    gone();
  }

  // Cuts the call off at `deadline`, should its producer not have ended it by then.
  void EndBy(absl::Time deadline) {
    At(deadline, &alarm_, [](StreamWriter* self) {
      self->CutOff(
          grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "the time of this call is up"));
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
      CutOff(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the client does not read"));
      return;
    }
    Advance();
  }

  // The status of the call, sent behind all events. The first end counts, of this and the next two.
  void End(grpc::Status status) { EndWith(std::nullopt, std::move(status)); }

  // The last event and the status of the call.
  void EndWith(std::optional<Response> last, grpc::Status status) {
    {
      absl::MutexLock lock(&mutex_);
      if (end_) return;
      if (last) queue_.push_back(*std::move(last));
      end_ = std::move(status);
    }
    Advance();
  }

  // Ends a call whose producer did not, with the protocol's own last event.
  void Fail(const grpc::Status& status) {
    EndWith(failure_ ? std::optional<Response>(failure_(status)) : std::nullopt, status);
  }

  // Fails the call and lets its producer know.
  void Stop(const grpc::Status& status) {
    std::function<void()> gone;
    {
      // Before the end is set: from then on gRPC may be done with the call at any moment, and
      // OnDone drops a producer that nobody has taken to be told.
      absl::MutexLock lock(&mutex_);
      gone = TakeGone();
    }
    Fail(status);
    if (gone) gone();
  }

  // Why the call really fails: a producer that an abort cancelled knows only that it was cancelled.
  grpc::Status ReasonOf(const grpc::Status& told) {
    absl::MutexLock lock(&mutex_);
    return aborted_ && told.error_code() == grpc::StatusCode::CANCELLED ? ShuttingDown() : told;
  }

 private:
  StreamWriter(grpc::CallbackServerContext* context, Join join, Failure failure,
               absl::Duration patience)
      : context_(context), join_(join), failure_(failure), patience_(patience) {}

  static grpc::Status ShuttingDown() {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the daemon is shutting down");
  }

  // Does `act` at `time`, unless the call is over by then. An alarm is set once.
  void At(absl::Time time, grpc::Alarm* alarm, std::function<void(StreamWriter* self)> act) {
    alarm->Set(absl::ToChronoTime(time),
               [weak = this->weak_from_this(), act = std::move(act)](bool reached) {
                 auto self = weak.lock();
                 if (reached && self) act(self.get());
               });
  }

  // Cancels the producer, whose own last event knows what the call has cost; without one in time
  // the call fails anyway.
  void Abort() {
    std::function<void()> gone;
    {
      absl::MutexLock lock(&mutex_);
      if (over_) return;
      aborted_ = true;
      gone = TakeGone();
      // Under the lock, so that OnDone cancels it afterwards.
      At(absl::Now() + patience_, &abort_alarm_,
         [](StreamWriter* self) { self->Fail(ShuttingDown()); });
    }
    if (gone) gone();
  }

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
    std::function<void()> gone;
    {
      absl::MutexLock lock(&mutex_);
      broken_ = true;
      gone = TakeGone();
    }
    if (gone) gone();
  }

  void OnDone() override {
    std::function<void()> gone;
    {
      absl::MutexLock lock(&mutex_);
      over_ = true;
      gone = std::move(gone_);  // may own the producer, which owns this
    }
    alarm_.Cancel();
    abort_alarm_.Cancel();
    cut_alarm_.Cancel();
    ticket_.reset();
    self_.reset();  // may delete this
  }

  // From now on nobody waits for the answer. What its producer is to be told, without the lock;
  // empty where it knows, or has not asked yet.
  std::function<void()> TakeGone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (over_) return nullptr;
    gone_already_ = true;
    return std::exchange(gone_, nullptr);
  }

  // As Stop. A write under way that the client does not take would keep the status behind it for
  // ever: it is cut, and what waits behind it is dropped. If nothing is under way, what Stop sends
  // may meet the same client: patience later the call is cut, too.
  void CutOff(const grpc::Status& status) {
    bool stalled = false;
    {
      absl::MutexLock lock(&mutex_);
      if (over_) return;
      stalled = busy_;
      broken_ |= stalled;
      if (!std::exchange(cutting_, true)) {
        At(absl::Now() + patience_, &cut_alarm_, [](StreamWriter* self) { self->Cut(); });
      }
    }
    Stop(status);
    if (stalled) Cut();
  }

  void Cut() {
    absl::MutexLock lock(&mutex_);
    if (!over_) context_->TryCancel();
  }

  grpc::CallbackServerContext* const context_;  // valid until OnDone
  const Join join_;
  const Failure failure_;
  const absl::Duration patience_;
  std::shared_ptr<StreamWriter> self_;
  std::unique_ptr<ActiveCalls::Ticket> ticket_;
  grpc::Alarm alarm_, abort_alarm_, cut_alarm_;
  Response current_;

  absl::Mutex mutex_;
  std::deque<Response> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // at least what waits
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;        // a write or the finish is under way
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;      // nothing can be sent any more
  bool aborted_ ABSL_GUARDED_BY(mutex_) = false;
  bool cutting_ ABSL_GUARDED_BY(mutex_) = false;  // cut_alarm_ is set
  bool gone_already_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_;  // set once, under mutex_
  std::function<void()> gone_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nearfar::daemon

#endif  // NEARFAR_ROUTER_DAEMON_STREAM_WRITER_H_
