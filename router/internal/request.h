// One query's life, as a small actor.
//
// Everything that happens to a request (a token, a far delta, an error, a deadline, a cancellation)
// is posted to its mailbox; whichever thread finds the mailbox unattended works it off. So all of
// the state below is touched by one thread at a time without a lock held, the app's sink is called
// one event at a time, and a backend or an app may call back from within a call without a deadlock.
//
// A side's call is numbered; what a call says after it was given up is not heard. So a backend may
// hang, end twice or speak late, and the app still gets exactly one terminal event.
//
// Held by tests/router/router_test.cc, handover_test.cc and cancellation_test.cc.

#ifndef NEARFAR_ROUTER_INTERNAL_REQUEST_H_
#define NEARFAR_ROUTER_INTERNAL_REQUEST_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "policies/estimators/draft_features.h"
#include "router/internal/call_sink.h"
#include "router/internal/core.h"
#include "router/internal/handover.h"
#include "router/internal/release.h"

namespace nearfar::internal {

// Who wrote what near wrote (Delta::source).
inline constexpr char kNearSource[] = "near";

class Request : public RouterCall,
                public CallListener,
                public std::enable_shared_from_this<Request> {
 public:
  Request(std::shared_ptr<Core> core, Query query, std::shared_ptr<EventSink> sink);

  // The first thing that happens; `admitted` is what Core::Enter said.
  void Begin(bool admitted);
  void Cancel() override;

  void HearDelta(int serial, const BackendDelta& delta) override;
  void HearFinished(int serial, const BackendFinished& end, double bill_usd) override;
  void HearError(int serial, const BackendError& error, double bill_usd) override;

 private:
  using Task = std::function<void(Request*)>;

  // A call to one side. `serial` 0 = none runs.
  struct Side {
    int serial = 0;
    std::shared_ptr<BackendCall> call;
    std::shared_ptr<CallSink> sink;
    bool spoke = false;                                    // a delta with text came
    absl::Time heard;                                      // when the last one came (Timer::Now)
    absl::Duration idle_limit = absl::InfiniteDuration();  // of silence between two
    Utf8Joiner joiner;
    std::optional<Stitcher> stitcher;  // it continues another side's text
  };
  enum class Takeover { kFresh, kAppend, kRetract, kImpossible };

  void Post(Task task);
  void Drain();
  bool cancelled();

  // The beginning.
  void Admit(bool admitted);
  void Decide();
  void Follow(Decision decision);

  // The policy's word on the signals as they are; what it says of taint and of the only target that
  // may be used holds from then on.
  Decision Choose();
  Decision Reconsider();
  void Heed(const Decision& decision);

  // Starting a side. Near goes on from what is released.
  BackendRequest MakeRequest(int max_tokens, std::string prefix) const;
  BackendRequest MakeFarRequest(int max_tokens, std::string prefix) const;
  int TokensLeft(const Decision& decision) const;
  void StartNear(const Decision& decision, bool judged);
  void StartFar(Decision decision);
  void LaunchFar(const Decision& decision, Backend* far, const FarConfig& config, Takeover how,
                 const std::string& prefix, Reservation money, int max_tokens);
  void WatchFar(const FarConfig& config, const Backend& far);
  void AwaitFar(absl::Duration patience);
  void Launched(Side* side, std::unique_ptr<BackendCall> call);

  // What the sides say.
  void OnDelta(int serial, const BackendDelta& delta);
  void OnFinished(int serial, const BackendFinished& end, double bill_usd);
  void OnError(int serial, const BackendError& error, double bill_usd);
  void OnNearDelta(const BackendDelta& delta);
  void OnNearFinished(const BackendFinished& end);
  void OnNearError(const absl::Status& status);
  void OnFarDelta(const BackendDelta& delta);
  void OnFarFinished(const BackendFinished& end);
  void OnFarFailed(const std::string& target, const absl::Status& status, std::string detail);
  void OnFarSilent(int serial);
  void OnDeadline();

  // The draft.
  bool CanRetract() const;
  Release EffectiveRelease() const;
  Seams EffectiveSeams() const;
  void RefreshSignals();
  void DescribeDraft(bool finished);
  void JudgeDraft();
  void JudgeFinishedDraft();
  bool CanStillReplace(const Backend& far) const;
  void AcceptDraft();
  void StayNear(const std::string& reason);
  void NoteConfidence();

  // The handover.
  Takeover PlanTakeover(const Backend& far) const;
  bool CanStillTry(const std::string& target) const;
  absl::Status MayLeave();
  double BoundUsd(const FarConfig& config, const Backend& far, size_t prefix_bytes,
                  int max_tokens) const;
  absl::StatusOr<Reservation> ReserveFor(const Decision& decision, const FarConfig& config,
                                         const Backend& far, size_t prefix_bytes, int* max_tokens);
  void OnNoMoney(const std::string& target, const absl::Status& status);
  void OnFarShut(const std::string& target);
  void FallBack(const absl::Status& status, Reason reason, std::string detail);
  bool DraftStands() const;
  Decision DecideAgain();
  bool NearCanGoOn() const;
  bool NearContinues() const;
  bool AnotherWouldAnswer();
  void ContinueNear(const Decision& decision);

  // The end.
  void Emit(std::string text, const std::string& source);
  void RetractAll();
  void Flag(const std::string& reason);
  void Record(Decision decision);
  void Retire(Side* side);  // its call has ended
  void GiveUp(Side* side);  // its call is cancelled and no longer heard
  void Finish(FinishReason reason, const std::string& source);
  void Fail(const absl::Status& status);
  void End(const std::string& outcome, const std::string& source);
  std::string PromptText() const;
  void Close();

  const std::shared_ptr<Core> core_;
  Query query_;
  std::shared_ptr<EventSink> sink_;
  const absl::Time start_;
  absl::Time deadline_;

  absl::Mutex mu_;
  std::deque<Task> mailbox_ ABSL_GUARDED_BY(mu_);
  bool attended_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::shared_ptr<BackendCall>> running_ ABSL_GUARDED_BY(mu_);  // for Cancel

  // The rest belongs to whoever attends the mailbox.
  bool admitted_ = false;
  bool done_ = false;
  std::shared_ptr<const Snapshot> snapshot_;
  Signals signals_;        // as they are now
  Signals first_signals_;  // as Choose saw them
  std::vector<Decision> decisions_;
  bool started_ = false;
  uint64_t deadline_timer_ = 0;
  uint64_t patience_timer_ = 0;

  int next_serial_ = 1;
  Side near_, far_;
  std::vector<std::shared_ptr<BackendCall>> retired_;
  std::string far_target_;           // of the far call that runs or ran last
  std::set<std::string> tried_far_;  // targets that were called, or cannot be
  bool near_failed_ = false;
  std::set<std::string> unaffordable_far_;

  bool judged_ = false;  // near drafts, and its draft will be judged
  bool exits_ = true;    // a handover in mid-draft is still possible
  std::optional<ReleaseBuffer> draft_;
  std::optional<DraftFeatures> features_;
  int draft_max_tokens_ = 0;
  int checked_at_ = 0;  // tokens at the last check
  int doubtful_windows_ = 0;
  bool draft_finished_ = false;
  BackendFinished draft_end_;

  std::string released_;    // what the app has
  bool far_wrote_ = false;  // some of it
  absl::Time first_release_ = absl::InfiniteFuture();
  Usage near_usage_, far_usage_;
  int64_t near_call_tokens_ = 0, far_call_tokens_ = 0;  // seen in the running calls
  double cost_usd_ = 0;
  int64_t egress_bytes_ = 0;
  int64_t far_call_bytes_ = 0;  // of the call that runs
  int64_t discarded_tokens_ = 0;
  std::optional<double> confidence_;
  bool flagged_ = false;
  std::string flag_reason_;
};

}  // namespace nearfar::internal

#endif  // NEARFAR_ROUTER_INTERNAL_REQUEST_H_
