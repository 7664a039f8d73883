// One thread that steps all sessions of an engine together.
//
// Each pass over the weights takes one token of every session that decodes and a chunk of prompt of
// one that prefills (chunks go around the sessions in turn), so that the weights are read once for
// all of them and nobody waits for another's whole prompt. While somebody decodes the chunk is a
// quarter, for smoother streams. The governor may hold those that decode, and says how many threads
// work.
//
// Life of a generation: queued (by Session::Generate) > running (admitted between passes, the
// cached prefix kept) > ended: by its own tokens after a pass, or by Cancel before the next layer
// that is computed, whether it has a part in that pass, waits for a turn, or is still queued. Sinks
// are called from the scheduler thread with no lock held. Internal to local_engine. Held by
// tests/local_engine/scheduler_test.cc and tests/local_engine/governed_scheduler_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_SCHEDULER_H_
#define NEARFAR_LOCAL_ENGINE_SCHEDULER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/types/span.h"
#include "local_engine/base/doorbell.h"
#include "local_engine/base/thread_pool.h"
#include "local_engine/engine_stats.h"
#include "local_engine/generation.h"
#include "local_engine/governor.h"
#include "local_engine/kernels/kernel_table.h"
#include "local_engine/model/kv_cache.h"
#include "local_engine/model/model.h"
#include "local_engine/model/transformer.h"
#include "local_engine/session.h"

namespace nearfar {

struct SchedulerOptions {
  const KernelTable* kernels = nullptr;
  DType kv_type = DType::kF16;
  int threads = 1;
  int context = 0;  // positions of a session's KV cache
  int max_sessions = 1;
  int prefill_chunk = 1;
  std::function<void(int layer)> layer_observer;
};

// Thread-safe. The thread keeps the scheduler alive until Stop has been obeyed.
class Scheduler : public std::enable_shared_from_this<Scheduler>, private PassObserver {
 public:
  // Errors: those of Transformer::Create and of ThreadPool::Create.
  static absl::StatusOr<std::shared_ptr<Scheduler>> Start(std::shared_ptr<const Model> model,
                                                          const SchedulerOptions& options,
                                                          std::unique_ptr<Governor> governor);

  // Ends the thread once the generations that run have been announced; call when all sessions are
  // gone. Waits for it, unless called from a sink, that is, on the thread itself.
  void Stop();

  // The session keeps `owner` alive. Errors: ResourceExhausted (max_sessions are live, or as many
  // that are gone still wait for the end of a layer).
  absl::StatusOr<std::unique_ptr<Session>> NewSession(std::shared_ptr<const void> owner);

  // See Engine::Logits. FailedPrecondition when called from a sink.
  absl::StatusOr<std::vector<float>> Logits(absl::Span<const int32_t> ids);

  EngineStats stats() const;

 private:
  class ScheduledSession;

  // What the scheduler holds of a session.
  struct Slot {
    explicit Slot(KvCache cache) : cache(std::move(cache)) {}

    // Under mutex_.
    bool closed = false;                     // the session is gone
    std::shared_ptr<Generation> generation;  // not null from Generate to its end

    // The scheduler thread's while `generation` is not null, else under mutex_.
    KvCache cache;
    std::vector<int32_t> cached;  // ids whose keys and values are in the cache, when idle

    std::atomic<int> cached_tokens{0};
    std::atomic<int64_t> kv_bytes{0};
  };

  // A generation that has been admitted.
  struct Running {
    std::shared_ptr<Slot> slot;
    std::shared_ptr<Generation> generation;
    bool ended = false;
  };

  // A call of Logits, computed piece by piece between the passes.
  struct Evaluation {
    explicit Evaluation(KvCache cache) : cache(std::move(cache)) {}

    absl::Span<const int32_t> ids;
    std::vector<float> logits;
    KvCache cache;
    absl::Status status;
    absl::Notification done;
  };

  Scheduler(std::shared_ptr<const Model> model, const SchedulerOptions& options,
            std::unique_ptr<ThreadPool> pool, std::unique_ptr<Governor> governor);

  KvCache NewCache() const;

  // Called by sessions, on any thread.
  absl::Status Enqueue(const std::shared_ptr<Slot>& slot, GenerateRequest request,
                       std::shared_ptr<GenerateSink> sink);
  absl::Status CheckRequest(const GenerateRequest& request) const;
  absl::Status CheckIds(absl::Span<const int32_t> ids) const;
  void Cancel(const std::shared_ptr<Slot>& slot);
  void AskToCancel();
  void CloseSlot(const std::shared_ptr<Slot>& slot);

  // The scheduler thread.
  void Loop();
  bool WaitForWork();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration PaceWait() const;
  void AdmitQueued();
  void Admit(Running running);
  void RunPass();
  void PlanPass();
  void PlanLastTokens();
  bool PlanSlice(size_t index, int tokens);
  static int Remaining(const Running& running);  // tokens that are not in the cache
  static bool Decodes(const Running& running);   // the last of them was generated
  void FinishPass();
  void EndCancelled();
  void EndCancelledOfQueue();
  void DropEnded(absl::Span<PassSlice> slices);
  void End(Running& running, StopReason reason, absl::Status status = absl::OkStatus());
  void Finish(const std::shared_ptr<Slot>& slot, const std::shared_ptr<Generation>& generation,
              StopReason reason, absl::Status status);
  void Forget(const std::shared_ptr<Slot>& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EvaluateSome();

  void BeforeLayer(int layer, absl::Span<PassSlice> slices) override;
  void AfterLayer(int layer) override;
  void BeforeLogits(absl::Span<PassSlice> slices) override;

  const std::shared_ptr<const Model> model_;
  const SchedulerOptions options_;
  const std::unique_ptr<ThreadPool> pool_;
  const std::unique_ptr<Governor> governor_;
  std::unique_ptr<Transformer> transformer_;
  std::thread thread_;

  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<Slot>> slots_ ABSL_GUARDED_BY(mutex_);  // closed ones until they end
  std::vector<std::shared_ptr<Slot>> queue_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<Evaluation>> evaluations_ ABSL_GUARDED_BY(mutex_);

  std::atomic<bool> cancel_asked_{false};  // a generation has been cancelled, and is to be ended
  std::atomic<bool> paced_{false};         // see EngineStats
  Doorbell news_;  // rung whenever there is something to do, for a wait at the governor's word

  // The scheduler thread's own.
  std::vector<Running> running_;
  std::vector<PassSlice> slices_;    // of the pass in work
  std::vector<size_t> slice_owner_;  // index into running_ of each slice; none in an evaluation
  size_t served_ = 0;                // index of the first that got a chunk of its prompt computed

  std::atomic<int64_t> prefill_tokens_{0};
  std::atomic<int64_t> decode_tokens_{0};
  std::atomic<int64_t> layers_computed_{0};
  std::atomic<int64_t> generations_finished_{0};
  std::atomic<int64_t> generations_cancelled_{0};
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_SCHEDULER_H_
