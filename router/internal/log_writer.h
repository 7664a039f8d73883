// Writes decision records behind the requests' backs, so that no answer waits for the disk.
// The queue is bounded; what does not fit is counted, never dropped silently. Thread-safe.
// Held by tests/router/internal/small_parts_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_LOG_WRITER_H_
#define NEARFAR_ROUTER_INTERNAL_LOG_WRITER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "router/decision_log.h"

namespace nearfar::internal {

class LogWriter {
 public:
  explicit LogWriter(std::shared_ptr<DecisionLog> log);
  ~LogWriter();  // writes what is queued first

  void Append(DecisionRecord record, bool keep_text, absl::Duration keep);
  // Waits until all that was appended before is written or has failed.
  void Flush();
  // Records that did not fit into the queue.
  int64_t dropped() const;

 private:
  struct Entry {
    DecisionRecord record;
    bool keep_text;
    absl::Duration keep;
  };
  void Run();

  const std::shared_ptr<DecisionLog> log_;
  mutable absl::Mutex mu_;
  std::deque<Entry> queue_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  int64_t dropped_ ABSL_GUARDED_BY(mu_) = 0;
  std::thread thread_;
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_LOG_WRITER_H_
