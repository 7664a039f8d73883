// See request.h. Here: the mailbox, the beginning and the end; request_sides.cc has what happens in
// between.

#include "router/internal/request.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "router/internal/check_query.h"

namespace nearfar::internal {
namespace {

absl::StatusCode CodeOfRefusal(Reason reason) {
  switch (reason) {
    case Reason::kBudgetSpent:
      return absl::StatusCode::kResourceExhausted;
    case Reason::kOffline:
    case Reason::kBreakerOpen:
    case Reason::kFarFailed:
    case Reason::kNearFailed:
    case Reason::kDevice:
      return absl::StatusCode::kUnavailable;
    case Reason::kContextTooLong:
      return absl::StatusCode::kInvalidArgument;
    case Reason::kRule:
    case Reason::kTainted:
      return absl::StatusCode::kPermissionDenied;
    default:
      return absl::StatusCode::kFailedPrecondition;
  }
}

absl::Status StatusOfRefusal(const Decision& decision) {
  return absl::Status(CodeOfRefusal(decision.reason),
                      absl::StrCat("refused: ", ReasonName(decision.reason),
                                   decision.detail.empty() ? "" : ": ", decision.detail));
}

}  // namespace

Request::Request(std::shared_ptr<Core> core, Query query, std::shared_ptr<EventSink> sink)
    : core_(std::move(core)),
      query_(std::move(query)),
      sink_(std::move(sink)),
      start_(core_->Now()),
      deadline_(query_.deadline) {
  if (query_.id.empty()) query_.id = core_->NewId();
  if (deadline_ == absl::InfiniteFuture()) deadline_ = start_ + core_->options().default_timeout;
}

// --- the mailbox ---------------------------------------------------------------------------------

void Request::Post(Task task) {
  auto self = shared_from_this();  // lives while its mailbox is attended
  {
    absl::MutexLock hold(&mu_);
    mailbox_.push_back(std::move(task));
    if (std::exchange(attended_, true)) return;
  }
  Drain();
}

void Request::Drain() {
  while (true) {
    Task task;
    {
      absl::MutexLock hold(&mu_);
      if (mailbox_.empty()) {
        attended_ = false;
        return;
      }
      task = std::move(mailbox_.front());
      mailbox_.pop_front();
    }
    if (!done_) task(this);
  }
}

void Request::HearDelta(int serial, const BackendDelta& delta) {
  Post([serial, delta](Request* r) { r->OnDelta(serial, delta); });
}

void Request::HearFinished(int serial, const BackendFinished& end, double bill_usd) {
  Post([serial, end, bill_usd](Request* r) { r->OnFinished(serial, end, bill_usd); });
}

void Request::HearError(int serial, const BackendError& error, double bill_usd) {
  Post([serial, error, bill_usd](Request* r) { r->OnError(serial, error, bill_usd); });
}

bool Request::cancelled() {
  absl::MutexLock hold(&mu_);
  return cancelled_;
}

void Request::Cancel() {
  std::vector<std::shared_ptr<BackendCall>> running;
  {
    absl::MutexLock hold(&mu_);
    if (std::exchange(cancelled_, true)) return;
    running = running_;
  }
  // At once, even while another thread attends the mailbox: the engine must not compute another
  // layer.
  for (const auto& call : running) call->Cancel();
  Post([](Request* r) { r->Fail(absl::CancelledError("the request was cancelled")); });
}

// --- the beginning -------------------------------------------------------------------------------

void Request::Begin(bool admitted) {
  Post([admitted](Request* r) { r->Admit(admitted); });
}

void Request::Admit(bool admitted) {
  admitted_ = admitted;
  if (!admitted) {
    return Fail(absl::ResourceExhaustedError(absl::StrCat(
        "too many queries at once (max_active is ", core_->options().max_active, ")")));
  }
  absl::Status checked = CheckQuery(query_);
  if (!checked.ok()) return Fail(checked);
  if (deadline_ <= start_) return Fail(absl::DeadlineExceededError("the deadline has passed"));
  deadline_timer_ = core_->timer().Schedule(deadline_ - start_, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->Post([](Request* r) { r->OnDeadline(); });
  });
  Decide();
}

void Request::Decide() {
  snapshot_ = core_->snapshot();
  signals_ = core_->BuildSignals(query_, *snapshot_);
  first_signals_ = signals_;
  Decision decision = Choose();
  Record(decision);
  started_ = true;
  sink_->OnStarted({query_.id, decision});
  if (!cancelled()) Follow(std::move(decision));
}

Decision Request::Choose() {
  Decision decision = snapshot_->policy->Choose(signals_);
  Heed(decision);
  return decision;
}

Decision Request::Reconsider() {
  Decision decision = snapshot_->policy->Reconsider(signals_);
  Heed(decision);
  return decision;
}

void Request::Heed(const Decision& decision) {
  signals_.bound_target = decision.bound_target;
  if (decision.taint == Taint::kNone) return;
  if (decision.taint == Taint::kSession && !query_.session_key.empty()) {
    core_->taint().Add(query_.session_key);
  }
  signals_.tainted = true;
}

void Request::Follow(Decision decision) {
  if (decision.flagged) Flag(ReasonName(decision.reason));
  switch (decision.route) {
    case Route::kNear:
      return StartNear(decision, /*judged=*/false);
    case Route::kDraft:
      return StartNear(decision, /*judged=*/true);
    case Route::kFar:
      return StartFar(std::move(decision));
    case Route::kRefuse:
      return Fail(StatusOfRefusal(decision));
  }
}

// --- the end -------------------------------------------------------------------------------------

void Request::Emit(std::string text, const std::string& source) {
  if (text.empty()) return;
  if (first_release_ == absl::InfiniteFuture()) first_release_ = core_->Now();
  far_wrote_ |= source != kNearSource;
  released_ += text;
  sink_->OnDelta({std::move(text), source});
}

void Request::RetractAll() {
  released_.clear();
  far_wrote_ = false;
  sink_->OnRetract({0});
}

void Request::Flag(const std::string& reason) {
  flagged_ = true;
  if (flag_reason_.empty()) flag_reason_ = reason;
}

void Request::Record(Decision decision) { decisions_.push_back(std::move(decision)); }

void Request::Launched(Side* side, std::unique_ptr<BackendCall> call) {
  side->call = std::move(call);
  if (!side->call) return;
  absl::MutexLock hold(&mu_);
  running_.push_back(side->call);
}

void Request::Retire(Side* side) {
  if (side->sink) side->sink->Detach();
  {
    absl::MutexLock hold(&mu_);
    running_.erase(std::remove(running_.begin(), running_.end(), side->call), running_.end());
  }
  // Kept until the request goes: this may run inside one of the call's own callbacks.
  if (side->call) retired_.push_back(std::move(side->call));
  *side = Side();
}

void Request::GiveUp(Side* side) {
  if (side->serial == 0) return;
  if (side->call) side->call->Cancel();
  if (side->sink) cost_usd_ += side->sink->CostUsd();
  Retire(side);
}

void Request::OnDeadline() {
  // Whether it was too slow or talked to the end is for its breaker to say, which heard it last.
  if (far_.call) far_.call->Abandon();
  Fail(absl::DeadlineExceededError("no answer before the deadline"));
}

void Request::Finish(FinishReason reason, const std::string& source) {
  GiveUp(&near_);
  GiveUp(&far_);
  Finished event;
  event.reason = reason;
  event.text = released_;
  event.near_usage = near_usage_;
  event.far_usage = far_usage_;
  event.cost_usd = cost_usd_;
  event.confidence = confidence_;
  event.decision = decisions_.back();
  event.flagged = flagged_;
  event.flag_reason = flag_reason_;
  event.source = source;
  event.elapsed = core_->Now() - start_;
  event.ttft = std::min(first_release_, core_->Now()) - start_;
  End("finished", source);
  sink_->OnFinished(event);
  Close();
}

void Request::Fail(const absl::Status& status) {
  GiveUp(&near_);
  GiveUp(&far_);
  Failed event{status, decisions_.empty() ? Decision() : decisions_.back(), cost_usd_};
  End(absl::StatusCodeToString(status.code()), "");
  sink_->OnFailed(event);
  Close();
}

void Request::End(const std::string& outcome, const std::string& source) {
  done_ = true;
  if (admitted_) core_->Ended();
  core_->timer().Cancel(deadline_timer_);
  core_->timer().Cancel(patience_timer_);
  if (!snapshot_) return;  // nothing was decided: there is nothing to record
  DecisionRecord record;
  const PolicyConfig& config = snapshot_->policy->config();
  record.request_id = query_.id;
  record.time = start_;
  record.policy_name = config.name;
  record.policy_revision = config.revision;
  record.signals = first_signals_;
  record.decisions = decisions_;
  record.outcome = outcome;
  record.source = source;
  record.flagged = flagged_;
  record.flag_reason = flag_reason_;
  record.confidence = confidence_;
  record.cost_usd = cost_usd_;
  const absl::Time now = core_->Now();
  record.seconds = absl::ToDoubleSeconds(now - start_);
  record.ttft_seconds = absl::ToDoubleSeconds(std::min(first_release_, now) - start_);
  record.near_tokens = near_usage_.completion_tokens;
  record.far_tokens = far_usage_.completion_tokens;
  record.discarded_tokens = discarded_tokens_;
  record.egress_bytes = egress_bytes_;
  record.tainted = signals_.tainted;
  if (config.log.prompt_text) {
    record.prompt_text = PromptText();
    record.answer_text = released_;
  }
  core_->Log(std::move(record), config);
}

std::string Request::PromptText() const {
  std::string text;
  for (const Message& message : query_.messages) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", message.role, ": ", message.content);
  }
  return text;
}

void Request::Close() {
  sink_.reset();
  core_->Leave(shared_from_this());
}

}  // namespace nearfar::internal
