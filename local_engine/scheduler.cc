#include "local_engine/scheduler.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "local_engine/base/start_thread.h"
#include "local_engine/base/usable_cpus.h"
#include "local_engine/model/memory.h"
#include "local_engine/sampling/sampler.h"
#include "local_engine/sampling/text_stream.h"

namespace nearfar {
namespace {

int CommonPrefix(absl::Span<const int32_t> a, absl::Span<const int32_t> b) {
  const size_t length = std::min(a.size(), b.size());
  const auto end = std::mismatch(a.begin(), a.begin() + length, b.begin());
  return static_cast<int>(end.first - a.begin());
}

// Long prompts have more logits than some machines have memory.
absl::Status ReserveFloats(size_t count, std::vector<float>* floats) {
  try {
    floats->reserve(count);
  } catch (const std::exception&) {  // bad_alloc, or length_error
    return absl::ResourceExhaustedError(absl::StrCat(
        "no memory for ", count, " logits (evaluate fewer tokens at a time, or free memory)"));
  }
  return absl::OkStatus();
}

}  // namespace

class Scheduler::ScheduledSession : public Session {
 public:
  ScheduledSession(std::shared_ptr<Scheduler> scheduler, std::shared_ptr<Slot> slot,
                   std::shared_ptr<const void> owner)
      : owner_(std::move(owner)), scheduler_(std::move(scheduler)), slot_(std::move(slot)) {}
  ~ScheduledSession() override { scheduler_->CloseSlot(slot_); }

  absl::Status Generate(GenerateRequest request, std::shared_ptr<GenerateSink> sink) override {
    return scheduler_->Enqueue(slot_, std::move(request), std::move(sink));
  }
  void Cancel() override { scheduler_->Cancel(slot_); }
  int cached_tokens() const override {
    return slot_->cached_tokens.load(std::memory_order_relaxed);
  }

 private:
  const std::shared_ptr<const void> owner_;  // destroyed last
  const std::shared_ptr<Scheduler> scheduler_;
  const std::shared_ptr<Slot> slot_;
};

absl::StatusOr<std::shared_ptr<Scheduler>> Scheduler::Start(std::shared_ptr<const Model> model,
                                                            const SchedulerOptions& options,
                                                            std::unique_ptr<Governor> governor) {
  absl::StatusOr<std::unique_ptr<ThreadPool>> pool = ThreadPool::Create(options.threads);
  if (!pool.ok()) return pool.status();
  std::shared_ptr<Scheduler> scheduler(
      new Scheduler(std::move(model), options, *std::move(pool), std::move(governor)));
  const int max_rows = std::max(options.prefill_chunk + options.max_sessions, kEvaluationRows);
  const int max_logits = std::max(options.max_sessions, kEvaluationRows);
  absl::StatusOr<std::unique_ptr<Transformer>> transformer = Transformer::Create(
      scheduler->model_->config, scheduler->model_->packed.weights, *options.kernels,
      options.kv_type, scheduler->pool_.get(), options.context, max_rows, max_logits);
  if (!transformer.ok()) return transformer.status();
  scheduler->transformer_ = *std::move(transformer);
  absl::StatusOr<std::thread> thread =
      StartThread("nearfar-engine", [scheduler] { scheduler->Loop(); });
  if (!thread.ok()) return thread.status();
  scheduler->thread_ = *std::move(thread);
  return scheduler;
}

Scheduler::Scheduler(std::shared_ptr<const Model> model, const SchedulerOptions& options,
                     std::unique_ptr<ThreadPool> pool, std::unique_ptr<Governor> governor)
    : model_(std::move(model)),
      options_(options),
      pool_(std::move(pool)),
      governor_(std::move(governor)) {}

KvCache Scheduler::NewCache() const {
  return KvCache(model_->config, options_.kv_type, options_.context);
}

void Scheduler::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    news_.Ring();
  }
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();  // a sink let go of the last session: the thread ends behind this call
  } else {
    thread_.join();
  }
}

absl::StatusOr<std::unique_ptr<Session>> Scheduler::NewSession(std::shared_ptr<const void> owner) {
  auto slot = std::make_shared<Slot>(NewCache());
  absl::MutexLock lock(&mutex_);
  const auto live =
      std::count_if(slots_.begin(), slots_.end(), [](const auto& each) { return !each->closed; });
  if (live >= options_.max_sessions) {
    return absl::ResourceExhaustedError(
        absl::StrCat("all ", options_.max_sessions,
                     " sessions of this engine are in use; end one, or open the engine with more "
                     "(EngineOptions::max_sessions)"));
  }
  if (slots_.size() >= 2 * static_cast<size_t>(options_.max_sessions)) {
    return absl::ResourceExhaustedError(
        absl::StrCat(slots_.size() - static_cast<size_t>(live),
                     " sessions are gone but not yet freed; try again once the layer in work is "
                     "computed"));
  }
  slots_.push_back(slot);
  return std::make_unique<ScheduledSession>(shared_from_this(), std::move(slot), std::move(owner));
}

EngineStats Scheduler::stats() const {
  EngineStats stats;
  absl::MutexLock lock(&mutex_);
  for (const std::shared_ptr<Slot>& slot : slots_) {
    stats.live_sessions += slot->closed ? 0 : 1;
    stats.live_generations += slot->generation != nullptr ? 1 : 0;
    stats.live_kv_bytes += slot->kv_bytes.load(std::memory_order_relaxed);
  }
  stats.prefill_tokens = prefill_tokens_;
  stats.decode_tokens = decode_tokens_;
  stats.layers_computed = layers_computed_;
  stats.generations_finished = generations_finished_;
  stats.generations_cancelled = generations_cancelled_;
  stats.threads_in_use = pool_->used();
  stats.temperature_celsius = governor_->celsius();
  stats.paced = paced_;
  return stats;
}

// ---- Called by sessions, on any thread.

absl::Status Scheduler::CheckIds(absl::Span<const int32_t> ids) const {
  if (ids.empty()) return absl::InvalidArgumentError("the prompt is empty; give at least one id");
  const int vocabulary = model_->weights.vocabulary();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < vocabulary) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "prompt[", i, "]: id ", ids[i], " is outside the vocabulary [0, ", vocabulary, ")"));
  }
  if (ids.size() <= static_cast<size_t>(options_.context)) return absl::OkStatus();
  return absl::OutOfRangeError(
      absl::StrCat("the prompt has ", ids.size(), " tokens, the context holds ", options_.context));
}

absl::Status Scheduler::CheckRequest(const GenerateRequest& request) const {
  if (request.max_tokens < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_tokens: ", request.max_tokens, " is less than 1"));
  }
  absl::Status status = CheckSamplingOptions(request.sampling);
  status.Update(CheckStops(request.stop));
  return status.ok() ? CheckIds(request.prompt) : status;
}

absl::Status Scheduler::Enqueue(const std::shared_ptr<Slot>& slot, GenerateRequest request,
                                std::shared_ptr<GenerateSink> sink) {
  if (sink == nullptr) return absl::InvalidArgumentError("sink: is null");
  absl::Status status = CheckRequest(request);
  if (!status.ok()) return status;
  auto generation = std::make_shared<Generation>(std::move(request), std::move(sink),
                                                 *model_->tokenizer, options_.context);
  absl::MutexLock lock(&mutex_);
  if (slot->generation != nullptr) {
    return absl::FailedPreconditionError(
        "a generation of this session has not finished; wait for OnDone, or cancel it");
  }
  slot->generation = std::move(generation);
  queue_.push_back(slot);
  news_.Ring();
  return absl::OkStatus();
}

void Scheduler::Cancel(const std::shared_ptr<Slot>& slot) {
  absl::MutexLock lock(&mutex_);
  if (slot->generation == nullptr) return;
  slot->generation->Cancel();
  AskToCancel();
}

void Scheduler::AskToCancel() {
  cancel_asked_ = true;
  news_.Ring();
}

void Scheduler::CloseSlot(const std::shared_ptr<Slot>& slot) {
  {
    absl::MutexLock lock(&mutex_);
    slot->closed = true;
    if (slot->generation != nullptr) {
      slot->generation->Cancel();  // the scheduler frees the slot where it ends the generation
      AskToCancel();
      return;
    }
    Forget(slot);
  }
  slot->cache.Release();
}

// Who forgets the last that may use a slot frees its cache, without the lock: unmapping takes time.
void Scheduler::Forget(const std::shared_ptr<Slot>& slot) {
  slots_.erase(std::find(slots_.begin(), slots_.end(), slot));
}

absl::StatusOr<std::vector<float>> Scheduler::Logits(absl::Span<const int32_t> ids) {
  if (thread_.get_id() == std::this_thread::get_id()) {
    return absl::FailedPreconditionError(
        "Logits cannot be called from a sink: it would wait for "
        "itself");
  }
  absl::Status status = CheckIds(ids);
  if (!status.ok()) return status;
  auto evaluation = std::make_shared<Evaluation>(NewCache());
  evaluation->ids = ids;
  status = ReserveFloats(ids.size() * model_->weights.vocabulary(), &evaluation->logits);
  if (!status.ok()) return status;
  {
    absl::MutexLock lock(&mutex_);
    evaluations_.push_back(evaluation);
    news_.Ring();
  }
  evaluation->done.WaitForNotification();
  if (!evaluation->status.ok()) return evaluation->status;
  return std::move(evaluation->logits);
}

// ---- The scheduler thread.

void Scheduler::Loop() {
  KeepToFastCpus(options_.threads);
  while (WaitForWork()) {
    AdmitQueued();
    RunPass();
    EvaluateSome();
  }
}

bool Scheduler::HasWork() const { return stopping_ || !queue_.empty() || !evaluations_.empty(); }

bool Scheduler::WaitForWork() {
  if (!running_.empty()) {
    const absl::Duration pause = PaceWait();
    if (pause > absl::ZeroDuration()) news_.WaitFor(pause);
    return true;
  }
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &Scheduler::HasWork));
  return !queue_.empty() || !evaluations_.empty();
}

// How long there is nothing to compute: all that run decode, and are held.
absl::Duration Scheduler::PaceWait() const {
  const auto held = [](const Running& each) { return !each.ended && Decodes(each); };
  if (!std::all_of(running_.begin(), running_.end(), held)) return absl::ZeroDuration();
  return governor_->DecodeWait();
}

void Scheduler::AdmitQueued() {
  std::vector<Running> admitted;
  {
    absl::MutexLock lock(&mutex_);
    for (std::shared_ptr<Slot>& slot : queue_) {
      admitted.push_back({.slot = slot, .generation = slot->generation});
    }
    queue_.clear();
  }
  for (Running& running : admitted) Admit(std::move(running));
}

// Keeps what the cache shares with the prompt. The last token of the prompt is computed in any
// case, for its logits.
void Scheduler::Admit(Running running) {
  Slot& slot = *running.slot;
  const std::vector<int32_t>& prompt = running.generation->tokens();
  const int reused =
      std::min(CommonPrefix(slot.cached, prompt), static_cast<int>(prompt.size()) - 1);
  slot.cache.Truncate(reused);
  slot.cached_tokens.store(reused, std::memory_order_relaxed);
  running.generation->Begin(reused);
  running_.push_back(std::move(running));
}

void Scheduler::RunPass() {
  EndCancelled();
  PlanPass();
  if (!slices_.empty()) {
    transformer_->Forward(absl::MakeSpan(slices_), *this);
    FinishPass();
  }
  slice_owner_.clear();
  if (served_ < running_.size()) {  // the next chunk of prompt is somebody else's
    std::rotate(running_.begin() + served_, running_.begin() + served_ + 1, running_.end());
  }
  running_.erase(std::remove_if(running_.begin(), running_.end(),
                                [](const Running& running) { return running.ended; }),
                 running_.end());
  if (running_.empty()) paced_ = false;
}

void Scheduler::PlanPass() {
  slices_.clear();
  PlanLastTokens();
  int budget = slices_.empty() ? options_.prefill_chunk : std::max(1, options_.prefill_chunk / 4);
  served_ = running_.size();
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    if (running_[i].ended || Remaining(running_[i]) == 1) continue;
    const int tokens = std::min(budget, Remaining(running_[i]));
    if (!PlanSlice(i, tokens)) continue;
    budget -= tokens;
    served_ = std::min(served_, i);
  }
}

// One token of everybody who needs no more for the next, but those that the governor holds.
void Scheduler::PlanLastTokens() {
  const bool hold = governor_->DecodeWait() > absl::ZeroDuration();
  int decoded = 0, held = 0;
  for (size_t i = 0; i < running_.size(); ++i) {
    if (running_[i].ended || Remaining(running_[i]) != 1) continue;
    const bool decodes = Decodes(running_[i]);
    if (decodes && hold) {
      ++held;
    } else if (PlanSlice(i, 1) && decodes) {
      ++decoded;
    }
  }
  governor_->Spend(decoded);
  paced_ = held > 0;
}

int Scheduler::Remaining(const Running& running) {
  return static_cast<int>(running.generation->tokens().size()) - running.slot->cache.length();
}

bool Scheduler::Decodes(const Running& running) {
  return static_cast<int>(running.generation->tokens().size()) >
         running.generation->prompt_tokens();
}

bool Scheduler::PlanSlice(size_t index, int tokens) {
  Running& running = running_[index];
  KvCache& cache = running.slot->cache;
  const absl::Status status = cache.Reserve(cache.length() + tokens);
  running.slot->kv_bytes.store(cache.bytes(), std::memory_order_relaxed);
  if (!status.ok()) {
    End(running, StopReason::kError, status);
    return false;
  }
  slices_.push_back({
      .cache = &cache,
      .tokens = absl::MakeConstSpan(running.generation->tokens()).subspan(cache.length(), tokens),
      .wanted_logits = tokens == Remaining(running) ? 1 : 0,
      .wants_stats = true,
  });
  slice_owner_.push_back(index);
  return true;
}

void Scheduler::FinishPass() {
  for (size_t i = 0; i < slices_.size(); ++i) {
    const PassSlice& slice = slices_[i];
    if (slice.dropped) continue;
    Running& running = running_[slice_owner_[i]];
    const int cached = slice.cache->length();
    running.slot->cached_tokens.store(cached, std::memory_order_relaxed);
    const bool decoded = cached > running.generation->prompt_tokens();
    (decoded ? decode_tokens_ : prefill_tokens_) += static_cast<int64_t>(slice.tokens.size());
    if (slice.logits.empty()) continue;  // in the middle of a prompt
    const std::optional<StopReason> reason =
        running.generation->Take(slice.logits, slice.stats.front());
    if (reason) End(running, *reason);
  }
}

// A sink that is told of its end may cancel others, so this goes around until nobody has asked.
void Scheduler::EndCancelled() {
  while (cancel_asked_.exchange(false)) {
    for (Running& running : running_) {
      if (running.ended || !running.generation->cancelled()) continue;
      End(running, StopReason::kCancelled);
    }
    EndCancelledOfQueue();
  }
}

void Scheduler::EndCancelledOfQueue() {
  std::vector<Running> cancelled;
  {
    absl::MutexLock lock(&mutex_);
    const auto first = std::stable_partition(
        queue_.begin(), queue_.end(),
        [](const std::shared_ptr<Slot>& slot) { return !slot->generation->cancelled(); });
    for (auto it = first; it != queue_.end(); ++it) cancelled.push_back({*it, (*it)->generation});
    queue_.erase(first, queue_.end());
  }
  // Their caches are as the generations before left them.
  for (const Running& each : cancelled) {
    Finish(each.slot, each.generation, StopReason::kCancelled, absl::OkStatus());
  }
}

void Scheduler::DropEnded(absl::Span<PassSlice> slices) {
  EndCancelled();
  for (size_t i = 0; i < slice_owner_.size(); ++i) {
    if (running_[slice_owner_[i]].ended) slices[i].dropped = true;
  }
}

void Scheduler::End(Running& running, StopReason reason, absl::Status status) {
  running.ended = true;
  Slot& slot = *running.slot;
  const std::vector<int32_t>& tokens = running.generation->tokens();
  slot.cached.assign(tokens.begin(), tokens.begin() + slot.cache.length());
  Finish(running.slot, running.generation, reason, std::move(status));
}

void Scheduler::Finish(const std::shared_ptr<Slot>& slot,
                       const std::shared_ptr<Generation>& generation, StopReason reason,
                       absl::Status status) {
  generation->Close(reason, std::move(status));
  ++(reason == StopReason::kCancelled ? generations_cancelled_ : generations_finished_);
  bool closed;
  {
    absl::MutexLock lock(&mutex_);
    slot->generation.reset();
    closed = slot->closed;
    if (closed) Forget(slot);
  }
  if (closed) slot->cache.Release();
  generation->Announce();  // from here on the slot may have a new generation, or be gone
}

void Scheduler::EvaluateSome() {
  std::shared_ptr<Evaluation> evaluation;
  {
    absl::MutexLock lock(&mutex_);
    if (evaluations_.empty()) return;
    evaluation = evaluations_.front();
  }
  KvCache& cache = evaluation->cache;
  absl::Span<const int32_t> ids = evaluation->ids.subspan(cache.length());
  ids = ids.first(std::min<size_t>(ids.size(), kEvaluationRows));
  evaluation->status = cache.Reserve(cache.length() + static_cast<int>(ids.size()));
  if (evaluation->status.ok()) {
    PassSlice slice = {
        .cache = &cache, .tokens = ids, .wanted_logits = static_cast<int>(ids.size())};
    transformer_->Forward({&slice, 1}, *this);
    evaluation->logits.insert(evaluation->logits.end(), slice.logits.begin(), slice.logits.end());
    if (cache.length() < static_cast<int>(evaluation->ids.size())) return;
  }
  {
    absl::MutexLock lock(&mutex_);
    evaluations_.pop_front();
  }
  evaluation->done.Notify();
}

// ---- Inside a pass.

void Scheduler::BeforeLayer(int layer, absl::Span<PassSlice> slices) {
  if (options_.layer_observer) options_.layer_observer(layer);
  pool_->Use(governor_->threads());
  DropEnded(slices);
}

void Scheduler::AfterLayer(int layer) { ++layers_computed_; }

void Scheduler::BeforeLogits(absl::Span<PassSlice> slices) { DropEnded(slices); }

}  // namespace nearfar
