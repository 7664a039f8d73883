// Sessions of an engine as calls of a backend. A job is one call; a job that finds no free session
// waits in a queue, so that more requests than sessions are served one after the other.

#include "router/local_backend.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "policies/estimators/prompt_features.h"
#include "router/internal/timer.h"

namespace nearfar {
namespace {

constexpr double kNewest = 0.3;   // weight of the newest measurement in a moving average
constexpr int kFewestTokens = 4;  // below, a measurement is mostly noise
constexpr int64_t kLikelyBytesPerToken = 4;
// Failures in a row after which the engine is left alone, and for how long.
constexpr int kMostFailures = 3;
constexpr absl::Duration kRest = absl::Seconds(30);

constexpr char kJsonInstruction[] = "Answer with one JSON value and nothing else.";

void Average(std::optional<double>* mean, double value) {
  *mean = mean->has_value() ? **mean + kNewest * (value - **mean) : value;
}

std::string ModelNameOf(const std::filesystem::path& path) {
  return (path.extension() == ".gguf" ? path.stem() : path.filename()).string();
}

int64_t ContentBytes(const std::vector<Message>& messages) {
  int64_t bytes = 0;
  for (const Message& message : messages) bytes += static_cast<int64_t>(message.content.size());
  return bytes;
}

std::vector<ChatTurn> TurnsOf(const std::vector<Message>& messages, ResponseFormat format) {
  std::vector<ChatTurn> turns;
  turns.reserve(messages.size() + 1);
  for (const Message& message : messages) turns.push_back({message.role, message.content});
  if (format != ResponseFormat::kJson) return turns;
  if (turns.empty() || turns.front().role != "system") turns.insert(turns.begin(), {"system", ""});
  std::string& system = turns.front().content;
  absl::StrAppend(&system, system.empty() ? "" : "\n", kJsonInstruction);
  return turns;
}

SamplingOptions SamplingOf(const SamplingParams& params) {
  SamplingOptions options;
  options.temperature = params.temperature;
  options.top_k = params.top_k;
  options.top_p = params.top_p;
  options.min_p = params.min_p;
  options.repetition_penalty = params.repetition_penalty;
  options.seed = params.seed;
  return options;
}

class LocalBackend;

// One call. Guarded by its backend's mutex but for the sink, which the engine's thread alone calls
// once the job runs.
struct Job {
  enum class State { kQueued, kRunning, kEnded };

  GenerateRequest request;
  std::string session_key;
  absl::Time deadline;  // to be begun by
  std::shared_ptr<BackendSink> sink;
  State state = State::kQueued;
  bool cancelled = false;
  std::shared_ptr<Session> session;  // while it runs and is not cancelled
};

class LocalBackend : public Backend, public std::enable_shared_from_this<LocalBackend> {
 public:
  LocalBackend(std::shared_ptr<Engine> engine, LocalBackendOptions options)
      : engine_(std::move(engine)), options_(std::move(options)) {
    if (options_.model.empty()) options_.model = ModelNameOf(engine_->info().path);
    if (!options_.steady) options_.steady = internal::SteadyNow;
  }

  std::unique_ptr<BackendCall> Start(BackendRequest request, absl::Time deadline,
                                     std::shared_ptr<BackendSink> sink) override;
  BackendDescription Describe() const override;
  Health health() const override {
    absl::MutexLock hold(&mu_);
    return options_.steady() < resting_until_ ? Health::kUnreachable : Health::kHealthy;
  }
  BackendSpeed speed() const override {
    absl::MutexLock hold(&mu_);
    return speed_;
  }
  std::optional<int64_t> CountTokens(const std::vector<Message>& messages) const override;

  void Cancel(const std::shared_ptr<Job>& job);
  // The engine is done with a job: its session goes back or goes away, and the next job starts.
  void OnDone(const std::shared_ptr<Job>& job, const GenerateResult& result);
  void TellStarted(const Job& job, int prompt_tokens) const;

 private:
  struct Idle {
    std::string key;
    std::shared_ptr<Session> session;
  };

  // A session, or Unavailable. An idle one that had to go for it is left in *evicted: for Free, and
  // only then is there room.
  absl::StatusOr<std::shared_ptr<Session>> Acquire(const std::string& key,
                                                   std::shared_ptr<Session>* evicted)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Returns the session that goes for it, if any.
  std::shared_ptr<Session> Keep(const std::string& key, std::shared_ptr<Session> session)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // A session is freed without the lock: unmapping takes time. Until then it keeps its place in the
  // engine, so it is counted from where it leaves under the lock.
  std::shared_ptr<Session> Leaving(std::shared_ptr<Session> session)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Of one that Leaving counted, or of none.
  void Free(std::shared_ptr<Session> session) ABSL_LOCKS_EXCLUDED(mu_);
  bool HasRoomOrRuns() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return freeing_ == 0 || running_ > 0;
  }
  bool AwaitFreed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Prepare(BackendRequest request, Job* job) const;
  absl::Status Launch(const std::shared_ptr<Job>& job, std::shared_ptr<Session>* freed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Queue(const std::shared_ptr<Job>& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status LaunchOrQueue(const std::shared_ptr<Job>& job);
  void RefuseLate();
  void Pump();
  void Measure(const GenerateResult& result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CountFailure(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::shared_ptr<Engine> engine_;
  LocalBackendOptions options_;
  mutable absl::Mutex mu_;
  std::list<Idle> idle_ ABSL_GUARDED_BY(mu_);  // least recently used first
  std::deque<std::shared_ptr<Job>> queue_ ABSL_GUARDED_BY(mu_);
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  int freeing_ ABSL_GUARDED_BY(mu_) = 0;  // sessions that left, and still have their place
  BackendSpeed speed_ ABSL_GUARDED_BY(mu_);
  int failures_ ABSL_GUARDED_BY(mu_) = 0;  // in a row
  absl::Time resting_until_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
};

// Carries a generation's events to the job's sink.
class JobSink : public GenerateSink {
 public:
  JobSink(std::shared_ptr<LocalBackend> backend, std::shared_ptr<Job> job)
      : backend_(std::move(backend)), job_(std::move(job)) {}

  void OnPrefill(int prompt_tokens, int) override { backend_->TellStarted(*job_, prompt_tokens); }
  void OnToken(const Token& token) override {
    BackendDelta delta;
    delta.text = token.text;
    delta.tokens = {{token.id, token.logprob, token.entropy, token.margin}};
    job_->sink->OnDelta(delta);
  }
  void OnDone(const GenerateResult& result) override { backend_->OnDone(job_, result); }

 private:
  const std::shared_ptr<LocalBackend> backend_;
  const std::shared_ptr<Job> job_;
};

class LocalCall : public BackendCall {
 public:
  LocalCall(std::shared_ptr<LocalBackend> backend, std::shared_ptr<Job> job)
      : backend_(std::move(backend)), job_(std::move(job)) {}
  ~LocalCall() override { Cancel(); }
  void Cancel() override { backend_->Cancel(job_); }

 private:
  const std::shared_ptr<LocalBackend> backend_;
  const std::shared_ptr<Job> job_;
};

BackendError ErrorOf(const absl::Status& status) {
  ErrorKind kind = ErrorKind::kInternal;
  if (absl::IsInvalidArgument(status)) kind = ErrorKind::kBadRequest;
  if (absl::IsOutOfRange(status)) kind = ErrorKind::kContextTooLong;
  if (absl::IsDeadlineExceeded(status)) kind = ErrorKind::kDeadline;
  // Sessions, memory or places in the queue have run out; another time there may be some.
  if (absl::IsResourceExhausted(status) || absl::IsUnavailable(status)) {
    kind = ErrorKind::kUnavailable;
  }
  return {status, kind, false};
}

BackendError Cancelled() {
  return {absl::CancelledError("cancelled"), ErrorKind::kCancelled, false};
}

// --- calls ---------------------------------------------------------------------------------------

std::unique_ptr<BackendCall> LocalBackend::Start(BackendRequest request, absl::Time deadline,
                                                 std::shared_ptr<BackendSink> sink) {
  auto job = std::make_shared<Job>();
  job->sink = std::move(sink);
  job->deadline = deadline;
  auto call = std::make_unique<LocalCall>(shared_from_this(), job);
  absl::Status status = Prepare(std::move(request), job.get());
  if (status.ok()) status = LaunchOrQueue(job);
  if (!status.ok()) {
    {
      absl::MutexLock hold(&mu_);
      job->state = Job::State::kEnded;
    }
    job->sink->OnError(ErrorOf(status));
  }
  return call;
}

absl::Status LocalBackend::Prepare(BackendRequest request, Job* job) const {
  const int64_t bytes =
      ContentBytes(request.messages) + static_cast<int64_t>(request.assistant_prefix.size());
  if (CannotFit(bytes, engine_->info())) {
    return absl::OutOfRangeError(absl::StrCat("the conversation has ", bytes,
                                              " bytes, more than the context's ",
                                              engine_->info().context_tokens, " tokens can hold"));
  }
  absl::StatusOr<std::vector<int32_t>> prompt =
      engine_->TokenizeChat(TurnsOf(request.messages, request.format), request.assistant_prefix);
  if (!prompt.ok()) return prompt.status();
  job->session_key = std::move(request.session_key);
  job->request.prompt = *std::move(prompt);
  job->request.max_tokens = request.max_tokens;
  job->request.sampling = SamplingOf(request.sampling);
  job->request.stop = std::move(request.stop);
  return absl::OkStatus();
}

absl::Status LocalBackend::Queue(const std::shared_ptr<Job>& job) {
  if (static_cast<int>(queue_.size()) >= options_.max_waiting) {
    return absl::ResourceExhaustedError(absl::StrCat("every session is in use and ", queue_.size(),
                                                     " calls wait; try again later"));
  }
  queue_.push_back(job);
  return absl::OkStatus();
}

std::shared_ptr<Session> LocalBackend::Leaving(std::shared_ptr<Session> session) {
  if (session != nullptr) ++freeing_;
  return session;
}

void LocalBackend::Free(std::shared_ptr<Session> session) {
  if (session == nullptr) return;
  session.reset();
  absl::MutexLock hold(&mu_);
  --freeing_;
}

// For one that finds every session in use. False if nothing is being freed, or a job runs: then its
// end is what to wait for. Otherwise nobody would come back to a job that waits, so it is waited
// for here: no longer than another thread takes to unmap a cache.
bool LocalBackend::AwaitFreed() {
  if (HasRoomOrRuns()) return false;
  mu_.Await(absl::Condition(this, &LocalBackend::HasRoomOrRuns));
  return true;
}

absl::Status LocalBackend::LaunchOrQueue(const std::shared_ptr<Job>& job) {
  while (true) {
    std::shared_ptr<Session> freed;
    absl::Status launched;
    {
      absl::MutexLock hold(&mu_);
      if (!queue_.empty()) return Queue(job);
      launched = Launch(job, &freed);
      if (absl::IsUnavailable(launched) && !freed) {
        if (AwaitFreed()) continue;
        return running_ > 0 ? Queue(job) : launched;
      }
    }
    Free(std::move(freed));
    if (!absl::IsUnavailable(launched)) return launched;
  }
}

// Unavailable: every session is in use.
absl::Status LocalBackend::Launch(const std::shared_ptr<Job>& job,
                                  std::shared_ptr<Session>* freed) {
  absl::StatusOr<std::shared_ptr<Session>> session = Acquire(job->session_key, freed);
  if (!session.ok()) return session.status();
  // Under the lock: the engine may be done before Generate returns, and OnDone waits for it.
  job->state = Job::State::kRunning;
  job->session = *session;
  ++running_;
  absl::Status started =
      (*session)->Generate(job->request, std::make_shared<JobSink>(shared_from_this(), job));
  if (started.ok()) return started;
  --running_;
  job->state = Job::State::kEnded;
  job->session.reset();
  std::shared_ptr<Session> unused = *std::move(session);
  if (!job->session_key.empty()) unused = Keep(job->session_key, std::move(unused));
  *freed = Leaving(std::move(unused));
  return started;
}

absl::StatusOr<std::shared_ptr<Session>> LocalBackend::Acquire(const std::string& key,
                                                               std::shared_ptr<Session>* evicted) {
  if (!key.empty()) {
    for (auto it = idle_.begin(); it != idle_.end(); ++it) {
      if (it->key != key) continue;
      std::shared_ptr<Session> session = std::move(it->session);
      idle_.erase(it);
      return session;
    }
  }
  absl::StatusOr<std::unique_ptr<Session>> session = engine_->NewSession();
  if (session.ok()) return std::shared_ptr<Session>(*std::move(session));
  if (!absl::IsResourceExhausted(session.status())) return session.status();
  if (!idle_.empty()) {
    *evicted = Leaving(std::move(idle_.front().session));
    idle_.pop_front();
  }
  return absl::UnavailableError(session.status().message());
}

// Calls that overlap have a session each, of which the one that knows more is kept.
std::shared_ptr<Session> LocalBackend::Keep(const std::string& key,
                                            std::shared_ptr<Session> session) {
  for (auto it = idle_.begin(); it != idle_.end(); ++it) {
    if (it->key != key) continue;
    if (session->cached_tokens() > it->session->cached_tokens()) std::swap(it->session, session);
    idle_.splice(idle_.end(), idle_, it);
    return session;
  }
  idle_.push_back({key, std::move(session)});
  if (static_cast<int>(idle_.size()) <= std::max(options_.kept_sessions, 0)) return nullptr;
  std::shared_ptr<Session> oldest = std::move(idle_.front().session);
  idle_.pop_front();
  return oldest;
}

void LocalBackend::Cancel(const std::shared_ptr<Job>& job) {
  std::shared_ptr<Session> session;
  bool was_queued = false;
  {
    absl::MutexLock hold(&mu_);
    if (job->state == Job::State::kEnded || std::exchange(job->cancelled, true)) return;
    if (job->state == Job::State::kQueued) {
      was_queued = true;
      job->state = Job::State::kEnded;
      queue_.erase(std::remove(queue_.begin(), queue_.end(), job), queue_.end());
    }
    session = Leaving(std::exchange(job->session, nullptr));
  }
  // Gone with its slot and its KV cache; the engine's OnDone follows before the next layer.
  Free(std::move(session));
  if (was_queued) job->sink->OnError(Cancelled());
}

void LocalBackend::TellStarted(const Job& job, int prompt_tokens) const {
  job.sink->OnStarted({options_.model, engine_->info().fingerprint, prompt_tokens});
}

void LocalBackend::OnDone(const std::shared_ptr<Job>& job, const GenerateResult& result) {
  std::shared_ptr<Session> session;
  {
    absl::MutexLock hold(&mu_);
    --running_;
    job->state = Job::State::kEnded;
    session = std::exchange(job->session, nullptr);
    if (result.reason == StopReason::kError) CountFailure(result.status);
    const bool whole =
        result.reason != StopReason::kCancelled && result.reason != StopReason::kError;
    if (whole) {
      failures_ = 0;
      Measure(result);
      if (session && !job->session_key.empty())
        session = Keep(job->session_key, std::move(session));
    }
    session = Leaving(std::move(session));
  }
  Free(std::move(session));
  Pump();
  if (result.reason == StopReason::kCancelled) return job->sink->OnError(Cancelled());
  if (result.reason == StopReason::kError) return job->sink->OnError(ErrorOf(result.status));
  const bool cut =
      result.reason == StopReason::kMaxTokens || result.reason == StopReason::kContextFull;
  BackendFinished end;
  end.reason = cut ? FinishReason::kLength : FinishReason::kStop;
  end.usage = {result.prompt_tokens, result.completion_tokens, result.reused_tokens};
  end.cost_usd = 0;
  job->sink->OnFinished(end);
}

// Tells those whose deadline has passed while they waited. Not from Start: its caller may hold what
// another call's sink needs.
void LocalBackend::RefuseLate() {
  std::vector<std::shared_ptr<Job>> late;
  {
    absl::MutexLock hold(&mu_);
    if (queue_.empty()) return;
    const absl::Time now = options_.now();
    const auto first = std::stable_partition(
        queue_.begin(), queue_.end(),
        [now](const std::shared_ptr<Job>& job) { return job->deadline > now; });
    late.assign(first, queue_.end());
    queue_.erase(first, queue_.end());
    for (const std::shared_ptr<Job>& job : late) job->state = Job::State::kEnded;
  }
  for (const std::shared_ptr<Job>& job : late) {
    job->sink->OnError(ErrorOf(
        absl::DeadlineExceededError("the deadline passed while the call waited for a session")));
  }
}

// Starts what waits, as far as there are sessions. A job that cannot start at all is told so.
void LocalBackend::Pump() {
  RefuseLate();
  while (true) {
    std::shared_ptr<Session> freed;
    std::shared_ptr<Job> job;
    absl::Status launched;
    {
      absl::MutexLock hold(&mu_);
      if (queue_.empty()) return;
      job = queue_.front();
      launched = Launch(job, &freed);
      const bool is_full = absl::IsUnavailable(launched) && !freed;
      if (is_full && AwaitFreed()) continue;
      // Somebody else took the session; the jobs that run will be back here.
      if (is_full && running_ > 0) return;
      if (absl::IsUnavailable(launched) && freed) {
        job = nullptr;  // tried again once there is room
      } else {
        queue_.pop_front();
        if (!launched.ok()) job->state = Job::State::kEnded;
      }
    }
    Free(std::move(freed));
    if (job != nullptr && !launched.ok()) job->sink->OnError(ErrorOf(launched));
  }
}

// What ran out (memory, most likely) says nothing of the engine: the next generation may do with
// less, and is told so itself if not.
void LocalBackend::CountFailure(const absl::Status& status) {
  if (!absl::IsDataLoss(status) && !absl::IsInternal(status)) return;
  if (++failures_ >= kMostFailures) resting_until_ = options_.steady() + kRest;
}

// --- what it is ----------------------------------------------------------------------------------

void LocalBackend::Measure(const GenerateResult& result) {
  const int computed = result.prompt_tokens - result.reused_tokens;
  if (computed >= kFewestTokens && result.prefill_seconds > 0) {
    Average(&speed_.prefill_tokens_per_second, computed / result.prefill_seconds);
  }
  if (result.completion_tokens >= kFewestTokens && result.decode_seconds > 0) {
    Average(&speed_.decode_tokens_per_second, result.completion_tokens / result.decode_seconds);
  }
}

BackendDescription LocalBackend::Describe() const {
  BackendDescription description;
  description.name = options_.name;
  description.model = options_.model;
  description.binding = BindingOf(engine_->info());
  description.capabilities.context_tokens = engine_->info().context_tokens;
  description.capabilities.json = true;  // when asked to; nothing checks it
  description.capabilities.continuation = Continuation::kExact;
  return description;
}

std::optional<int64_t> LocalBackend::CountTokens(const std::vector<Message>& messages) const {
  const int64_t bytes = ContentBytes(messages);
  if (CannotFit(bytes, engine_->info())) return bytes / kLikelyBytesPerToken;
  absl::StatusOr<std::vector<int32_t>> ids =
      engine_->TokenizeChat(TurnsOf(messages, ResponseFormat::kText));
  if (!ids.ok()) return std::nullopt;
  return static_cast<int64_t>(ids->size());
}

}  // namespace

std::shared_ptr<Backend> MakeLocalBackend(std::shared_ptr<Engine> engine,
                                          LocalBackendOptions options) {
  return std::make_shared<LocalBackend>(std::move(engine), std::move(options));
}

bool CannotFit(int64_t bytes, const ModelInfo& info) {
  return bytes > int64_t{info.longest_token_bytes} * info.context_tokens;
}

ModelBinding BindingOf(const ModelInfo& info) {
  ModelBinding binding;
  binding.fingerprint = info.fingerprint;
  binding.quantization = info.quantization;
  binding.template_hash = info.template_hash;
  binding.kv_type = info.kv_type;
  binding.feature_version = kFeatureVersion;
  return binding;
}

}  // namespace nearfar
