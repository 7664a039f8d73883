// What happens in a request's life between its beginning and its end (request.h): what the sides
// say, how a draft is judged, how one side takes over from the other.

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "router/internal/call_sink.h"
#include "router/internal/request.h"

namespace nearfar::internal {
namespace {

// A prompt is billed for at most its bytes in tokens, and what a template adds to it; the same
// bound as the policy's (policies/policy.cc), so that what it weighed is what is reserved.
constexpr int64_t kOverheadTokens = 64;
constexpr int64_t kOverheadTokensPerTurn = 16;
constexpr double kPerMillion = 1e-6;

// A far side that has not said a word after this many times its usual wait, for the first word or
// for the next, is taken for dead, while there is still time for another to answer.
constexpr double kPatience = 20;
constexpr absl::Duration kLeastPatience = absl::Seconds(15);

constexpr int64_t kBytesPerToken = 4;  // of text whose tokens nobody counted

const FarConfig* ConfigOf(const PolicyConfig& config, const std::string& target) {
  for (const FarConfig& far : config.far) {
    if (far.name == target) return &far;
  }
  return nullptr;
}

int64_t ContentBytes(const std::vector<Message>& messages) {
  int64_t bytes = 0;
  for (const Message& message : messages) bytes += static_cast<int64_t>(message.content.size());
  return bytes;
}

int64_t StopBytes(const std::vector<std::string>& stops) {
  int64_t bytes = 0;
  for (const std::string& stop : stops) bytes += static_cast<int64_t>(stop.size());
  return bytes;
}

// A side's own words are for the caller alone, and must be text to reach it.
absl::Status Readable(const absl::Status& status) {
  return absl::Status(status.code(), ToValidUtf8(std::string(status.message())));
}

// What decisions and the log keep of a far side's error: a server may quote the prompt in its own
// words.
std::string DetailOf(const std::string& target, const BackendError& error) {
  return absl::StrCat("far target '", target, "': ", ErrorKindName(error.kind), " (",
                      absl::StatusCodeToString(error.status.code()), ")");
}

int TokensOf(const BackendDelta& delta) {
  if (!delta.tokens.empty()) return static_cast<int>(delta.tokens.size());
  return delta.text.empty() ? 0 : 1;
}

}  // namespace

// --- starting a side -----------------------------------------------------------------------------

BackendRequest Request::MakeRequest(int max_tokens, std::string prefix) const {
  BackendRequest request;
  request.request_id = query_.id;
  request.session_key = query_.session_key;
  request.messages = query_.messages;
  request.sampling = query_.sampling;
  request.max_tokens = std::max(max_tokens, 1);
  request.stop = query_.stop;
  request.format = query_.format;
  request.assistant_prefix = std::move(prefix);
  return request;
}

// A far side knows the session by another name than the application does.
BackendRequest Request::MakeFarRequest(int max_tokens, std::string prefix) const {
  BackendRequest request = MakeRequest(max_tokens, std::move(prefix));
  if (!request.session_key.empty()) {
    request.session_key = core_->taint().FarName(far_target_, request.session_key);
  }
  return request;
}

// What is left of the tokens asked for, after those that the app already has.
int Request::TokensLeft(const Decision& decision) const {
  int most = signals_.request.max_tokens;
  if (decision.max_tokens > 0) most = std::min(most, decision.max_tokens);
  if (released_.empty()) return most;
  int64_t had = static_cast<int64_t>(released_.size()) / kBytesPerToken;
  if (draft_ && !far_wrote_) had = draft_->released_tokens();
  return static_cast<int>(std::max<int64_t>(most - had, 1));
}

void Request::StartNear(const Decision& decision, bool judged) {
  Backend* near = core_->near();
  if (!near) return OnNearError(absl::UnavailableError("there is no near model"));
  const int max_tokens = TokensLeft(decision);
  judged_ = judged;
  near_call_tokens_ = 0;
  near_.serial = next_serial_++;
  near_.sink = std::make_shared<CallSink>(shared_from_this(), near_.serial);
  if (released_.empty()) {
    const Release release = judged ? EffectiveRelease() : Release::kImmediate;
    draft_.emplace(release, judged ? EffectiveSeams() : Seams::kNone,
                   snapshot_->policy->config().draft.hold_back_tokens);
    features_.emplace(max_tokens);
    draft_max_tokens_ = max_tokens;
  } else {
    near_.stitcher.emplace(near->Describe().capabilities.continuation, released_, released_);
  }
  // The sink stays valid in `near_`: events of this call wait in the mailbox until this returns.
  Launched(&near_, near->Start(MakeRequest(max_tokens, released_), deadline_, near_.sink));
}

void Request::StartFar(Decision decision) {
  absl::Status may = MayLeave();
  if (!may.ok()) {
    // Another turn of the session may have tainted it since the decision; anything else is our
    // error.
    if (signals_.tainted) return FallBack(may, Reason::kTainted, std::string(may.message()));
    return Fail(may);
  }
  std::shared_ptr<Backend> far = snapshot_->Far(decision.target);
  const FarConfig* config = ConfigOf(snapshot_->policy->config(), decision.target);
  if (!far || !config) {
    return OnFarFailed(decision.target, absl::InternalError("there is no such far target"),
                       "there is no such far target");
  }
  if (far->health() == Health::kBreakerOpen) return OnFarShut(decision.target);
  const Takeover how = PlanTakeover(*far);
  if (how == Takeover::kImpossible) return StayNear("released");
  const Continuation continuation = far->Describe().capabilities.continuation;
  const std::string prefix =
      how == Takeover::kAppend ? PrefixFor(continuation, released_, judged_) : std::string();
  int max_tokens = how == Takeover::kRetract ? signals_.request.max_tokens : TokensLeft(decision);
  if (decision.max_tokens > 0) max_tokens = std::min(max_tokens, decision.max_tokens);
  absl::StatusOr<Reservation> money =
      ReserveFor(decision, *config, *far, prefix.size(), &max_tokens);
  if (!money.ok()) return OnNoMoney(decision.target, money.status());
  LaunchFar(decision, far.get(), *config, how, prefix, *std::move(money), max_tokens);
}

void Request::LaunchFar(const Decision& decision, Backend* far, const FarConfig& config,
                        Takeover how, const std::string& prefix, Reservation money,
                        int max_tokens) {
  if (near_.serial != 0) near_usage_.completion_tokens += near_call_tokens_;
  GiveUp(&near_);  // first: the slot and the cache are free before the far side begins
  if (draft_ && !far_wrote_) {
    discarded_tokens_ = how == Takeover::kAppend ? draft_->unreleased_tokens() : draft_->tokens();
  }
  if (how == Takeover::kRetract) {
    RetractAll();
    if (draft_) draft_->Retracted();
  }
  tried_far_.insert(decision.target);
  far_target_ = decision.target;
  far_call_tokens_ = 0;
  far_call_bytes_ =
      ContentBytes(query_.messages) + StopBytes(query_.stop) + static_cast<int64_t>(prefix.size());
  egress_bytes_ += far_call_bytes_;
  far_.serial = next_serial_++;
  if (how == Takeover::kAppend) {
    far_.stitcher.emplace(far->Describe().capabilities.continuation, released_, prefix);
  }
  far_.sink = std::make_shared<CallSink>(
      shared_from_this(), far_.serial, std::move(money),
      CallPrice{config.input_usd_per_mtok.value_or(0), config.output_usd_per_mtok.value_or(0)});
  WatchFar(config, *far);
  Launched(&far_, far->Start(MakeFarRequest(max_tokens, prefix), deadline_, far_.sink));
}

void Request::WatchFar(const FarConfig& config, const Backend& far) {
  const BackendSpeed speed = far.speed();
  const double rate = speed.decode_tokens_per_second.value_or(config.expected_tokens_per_second);
  const double ttft = speed.ttft_seconds.value_or(config.expected_ttft_seconds);
  far_.idle_limit = kLeastPatience;
  if (rate > 0) far_.idle_limit = std::max(kPatience * absl::Seconds(1 / rate), kLeastPatience);
  absl::Duration patience = std::max(kPatience * absl::Seconds(ttft), kLeastPatience);
  patience = std::min(patience, (deadline_ - core_->Now()) / 2);
  if (query_.options.max_ttft && released_.empty()) {
    patience = std::min(patience, std::max(*query_.options.max_ttft, absl::ZeroDuration()));
  }
  AwaitFar(patience);
}

void Request::AwaitFar(absl::Duration patience) {
  core_->timer().Cancel(patience_timer_);
  patience_timer_ =
      core_->timer().Schedule(patience, [weak = weak_from_this(), serial = far_.serial] {
        if (auto self = weak.lock()) {
          self->Post([serial](Request* r) { r->OnFarSilent(serial); });
        }
      });
}

// --- what the sides say --------------------------------------------------------------------------

void Request::OnDelta(int serial, const BackendDelta& delta) {
  if (serial == near_.serial) return OnNearDelta(delta);
  if (serial == far_.serial) return OnFarDelta(delta);
}

void Request::OnFinished(int serial, const BackendFinished& end, double bill_usd) {
  if (serial == near_.serial) return OnNearFinished(end);
  if (serial != far_.serial) return;
  cost_usd_ += bill_usd;
  OnFarFinished(end);
}

void Request::OnError(int serial, const BackendError& error, double bill_usd) {
  if (cancelled()) return;  // our own doing; the end is in the mailbox
  if (serial == near_.serial) {
    near_usage_.completion_tokens += near_call_tokens_;
    Retire(&near_);
    return OnNearError(Readable(error.status));
  }
  if (serial != far_.serial) return;
  cost_usd_ += bill_usd;
  if (error.nothing_sent) egress_bytes_ -= far_call_bytes_;
  far_usage_.completion_tokens += far_call_tokens_;
  Retire(&far_);
  OnFarFailed(far_target_, Readable(error.status), DetailOf(far_target_, error));
}

void Request::OnNearDelta(const BackendDelta& delta) {
  near_call_tokens_ += TokensOf(delta);
  if (near_.stitcher) {
    Emit(near_.stitcher->Add(near_.joiner.Add(delta.text)), kNearSource);
    return;
  }
  draft_->Add(delta.text, TokensOf(delta));
  for (size_t i = 0; i < delta.tokens.size(); ++i) {
    const TokenStats& token = delta.tokens[i];
    const bool last = i + 1 == delta.tokens.size();
    features_->Add(token.id, token.logprob, token.entropy, token.margin,
                   last ? std::string_view(delta.text) : std::string_view());
  }
  if (judged_) JudgeDraft();
  if (near_.serial != 0) Emit(draft_->Take(), kNearSource);
}

void Request::OnNearFinished(const BackendFinished& end) {
  near_usage_.prompt_tokens = end.usage.prompt_tokens;
  near_usage_.cached_prompt_tokens = end.usage.cached_prompt_tokens;
  near_usage_.completion_tokens += std::max(end.usage.completion_tokens, near_call_tokens_);
  std::optional<Stitcher> stitcher = std::move(near_.stitcher);
  std::string tail = stitcher ? near_.joiner.Finish() : std::string();
  Retire(&near_);
  if (stitcher) {
    Emit(stitcher->Add(tail) + stitcher->Finish(end.reason == FinishReason::kStop), kNearSource);
    return Finish(end.reason, kNearSource);
  }
  draft_->Finish();
  draft_finished_ = true;
  draft_end_ = end;
  if (judged_) return JudgeFinishedDraft();
  NoteConfidence();
  AcceptDraft();
}

void Request::OnNearError(const absl::Status& status) {
  near_failed_ = true;
  signals_.near.available = false;
  signals_.draft.reset();
  RefreshSignals();
  Decision decision = Choose();
  if (decision.route != Route::kFar || !CanStillTry(decision.target)) return Fail(status);
  decision.reason = Reason::kNearFailed;
  decision.detail = std::string(status.message());
  Record(decision);
  StartFar(std::move(decision));
}

void Request::OnFarDelta(const BackendDelta& delta) {
  if (!delta.text.empty()) {
    far_.heard = core_->timer().Now();
    if (!std::exchange(far_.spoke, true)) AwaitFar(far_.idle_limit);
  }
  far_call_tokens_ += TokensOf(delta);
  std::string text = far_.joiner.Add(delta.text);
  Emit(far_.stitcher ? far_.stitcher->Add(text) : std::move(text), far_target_);
}

void Request::OnFarFinished(const BackendFinished& end) {
  far_usage_.prompt_tokens += end.usage.prompt_tokens;
  far_usage_.cached_prompt_tokens += end.usage.cached_prompt_tokens;
  far_usage_.completion_tokens += std::max(end.usage.completion_tokens, far_call_tokens_);
  std::optional<Stitcher> stitcher = std::move(far_.stitcher);
  std::string tail = far_.joiner.Finish();
  Retire(&far_);
  if (stitcher) tail = stitcher->Add(tail) + stitcher->Finish(end.reason == FinishReason::kStop);
  Emit(std::move(tail), far_target_);
  const bool empty = released_.empty() && end.reason != FinishReason::kContentFilter;
  if (empty) {
    return OnFarFailed(far_target_, absl::UnavailableError("the far side answered nothing"),
                       "the far side answered nothing");
  }
  Finish(end.reason, far_target_);
}

void Request::OnFarSilent(int serial) {
  if (serial != far_.serial) return;
  // Words that came meanwhile only moved `heard`: a timer for each would cost more than the word.
  const absl::Duration rest = far_.heard + far_.idle_limit - core_->timer().Now();
  if (far_.spoke && rest > absl::ZeroDuration()) return AwaitFar(std::min(rest, far_.idle_limit));
  if (!AnotherWouldAnswer()) return AwaitFar(far_.idle_limit);
  const char* silence =
      far_.spoke ? "the far side has fallen silent" : "the far side has not said a word";
  far_usage_.completion_tokens += far_call_tokens_;
  if (far_.call) far_.call->Abandon();
  GiveUp(&far_);
  OnFarFailed(far_target_, absl::UnavailableError(silence), silence);
}

void Request::OnFarFailed(const std::string& target, const absl::Status& status,
                          std::string detail) {
  tried_far_.insert(target);
  FallBack(status, Reason::kFarFailed, std::move(detail));
}

// --- the draft -----------------------------------------------------------------------------------

bool Request::CanRetract() const { return query_.options.allow_retract; }

// The policy's mode, unless some far side that might take over could not go on from released text.
Release Request::EffectiveRelease() const {
  const PolicyConfig& config = snapshot_->policy->config();
  if (config.stream.release == Release::kJudged || CanRetract()) return config.stream.release;
  for (const FarConfig& target : config.far) {
    const Continuation side = snapshot_->Far(target.name)->Describe().capabilities.continuation;
    const bool whole = query_.format == ResponseFormat::kJson && side != Continuation::kExact;
    if (side == Continuation::kNone || whole) return Release::kJudged;
  }
  return config.stream.release;
}

Seams Request::EffectiveSeams() const {
  for (const auto& [name, far] : snapshot_->far) {
    if (far->Describe().capabilities.continuation == Continuation::kInstructed) {
      return Seams::kBlocks;
    }
  }
  return Seams::kWords;
}

void Request::RefreshSignals() {
  core_->Refresh(*snapshot_, &signals_);
  for (FarSignals& far : signals_.far) {
    if (tried_far_.count(far.name)) far.health = Health::kUnreachable;
  }
  if (!unaffordable_far_.empty() && signals_.budget.limit_usd) {
    signals_.budget.spent_usd = std::max(signals_.budget.spent_usd, *signals_.budget.limit_usd);
  }
  if (!query_.session_key.empty() && core_->taint().Contains(query_.session_key)) {
    signals_.tainted = true;
  }
}

void Request::DescribeDraft(bool finished) {
  const bool hit_limit = finished && draft_end_.reason == FinishReason::kLength;
  DraftSignals draft;
  draft.finished = finished;
  draft.tokens = draft_->tokens();
  draft.max_tokens = draft_max_tokens_;
  draft.hit_limit = hit_limit;
  draft.released = !released_.empty();
  draft.bytes = static_cast<int64_t>(draft_->text().size());
  draft.doubtful_windows = doubtful_windows_;
  // A side that tells no statistics leaves them unknown, not zero.
  if (features_->tokens() > 0) draft.dense = features_->Values(finished, hit_limit);
  signals_.draft = std::move(draft);
}

void Request::JudgeDraft() {
  const PolicyConfig& config = snapshot_->policy->config();
  const int tokens = features_->tokens();
  if (tokens < config.draft.min_tokens) return;
  if (tokens - checked_at_ < std::max(config.draft.check_every_tokens, 1)) return;
  checked_at_ = tokens;
  RefreshSignals();
  DescribeDraft(/*finished=*/false);
  Decision decision = Reconsider();
  doubtful_windows_ = decision.doubtful_windows;
  if (decision.route == Route::kFar && exits_ && tried_far_.count(decision.target) == 0) {
    std::shared_ptr<Backend> far = snapshot_->Far(decision.target);
    exits_ = far && PlanTakeover(*far) != Takeover::kImpossible;
    if (exits_) {
      Record(decision);
      return StartFar(std::move(decision));
    }
  }
  const std::optional<double> accept = snapshot_->policy->AcceptProbability(signals_);
  if (accept && *accept >= config.stream.release_at) draft_->Open();
}

void Request::JudgeFinishedDraft() {
  RefreshSignals();
  DescribeDraft(/*finished=*/true);
  Decision decision = Reconsider();
  confidence_ = decision.confidence;
  Record(decision);
  if (decision.route == Route::kFar) {
    std::shared_ptr<Backend> far = snapshot_->Far(decision.target);
    if (far && CanStillReplace(*far)) return StartFar(std::move(decision));
    return StayNear("released");
  }
  if (decision.flagged) Flag(ReasonName(decision.reason));
  if (decision.route == Route::kRefuse && released_.empty()) {
    return Fail(absl::UnavailableError(
        absl::StrCat("refused: the draft is not good enough, and ", decision.detail)));
  }
  AcceptDraft();
}

// Of a finished and rejected draft: with all or most of it out, only a retraction helps.
bool Request::CanStillReplace(const Backend& far) const {
  switch (PlanTakeover(far)) {
    case Takeover::kFresh:
    case Takeover::kRetract:
      return true;
    case Takeover::kAppend:
      return EffectiveRelease() == Release::kConfident &&
             draft_->released() < draft_->text().size();
    case Takeover::kImpossible:
      return false;
  }
  return false;
}

void Request::AcceptDraft() {
  discarded_tokens_ = 0;
  Emit(draft_->TakeAll(), kNearSource);
  Finish(draft_end_.reason, kNearSource);
}

// The policy wants another answer than what is out already.
void Request::StayNear(const std::string& reason) {
  Flag(reason);
  if (DraftStands()) return AcceptDraft();
  exits_ = false;
}

void Request::NoteConfidence() {
  DescribeDraft(/*finished=*/true);
  confidence_ = Reconsider().confidence;
}

// --- the handover --------------------------------------------------------------------------------

Request::Takeover Request::PlanTakeover(const Backend& far) const {
  if (released_.empty()) return Takeover::kFresh;
  const bool wants_retract = snapshot_->policy->config().stream.on_handover == OnHandover::kRetract;
  if (CanRetract() && wants_retract) return Takeover::kRetract;
  const Takeover otherwise = CanRetract() ? Takeover::kRetract : Takeover::kImpossible;
  switch (far.Describe().capabilities.continuation) {
    case Continuation::kExact:
      return Takeover::kAppend;
    case Continuation::kInstructed: {
      // Half a JSON document cannot be continued by instruction.
      const bool json = query_.format == ResponseFormat::kJson || LooksLikeJson(released_);
      return json ? otherwise : Takeover::kAppend;
    }
    case Continuation::kNone:
      return otherwise;
  }
  return otherwise;
}

bool Request::CanStillTry(const std::string& target) const {
  std::shared_ptr<Backend> far = snapshot_->Far(target);
  return far && !signals_.tainted && tried_far_.count(target) == 0 &&
         unaffordable_far_.count(target) == 0 && PlanTakeover(*far) != Takeover::kImpossible;
}

// The last look before anything leaves the device.
absl::Status Request::MayLeave() {
  if (!query_.session_key.empty() && core_->taint().Contains(query_.session_key)) {
    signals_.tainted = true;
  }
  if (signals_.tainted)
    return absl::PermissionDeniedError("the session is tainted: nothing leaves");
  if (query_.options.local_only) {
    return absl::InternalError(
        "a decision would have sent a local_only query away (please report)");
  }
  return absl::OkStatus();
}

double Request::BoundUsd(const FarConfig& config, const Backend& far, size_t prefix_bytes,
                         int max_tokens) const {
  int64_t prompt = ContentBytes(query_.messages);
  if (std::optional<int64_t> counted = far.CountTokens(query_.messages)) {
    prompt = std::min(prompt, *counted);
  }
  const auto turns = static_cast<int64_t>(query_.messages.size());
  prompt += kOverheadTokens + kOverheadTokensPerTurn * turns;
  if (prefix_bytes > 0) prompt += static_cast<int64_t>(prefix_bytes) + kOverheadTokensPerTurn;
  return kPerMillion * (static_cast<double>(prompt) * config.input_usd_per_mtok.value_or(0) +
                        static_cast<double>(max_tokens) * config.output_usd_per_mtok.value_or(0));
}

absl::StatusOr<Reservation> Request::ReserveFor(const Decision& decision, const FarConfig& config,
                                                const Backend& far, size_t prefix_bytes,
                                                int* max_tokens) {
  std::optional<double> most = query_.options.max_cost_usd;
  if (decision.max_cost_usd > 0) {
    most = std::min(most.value_or(decision.max_cost_usd), decision.max_cost_usd);
  }
  double bound = BoundUsd(config, far, prefix_bytes, *max_tokens);
  if (most && bound > *most) {
    const double rest = *most - BoundUsd(config, far, prefix_bytes, 0);
    const double token_usd = kPerMillion * config.output_usd_per_mtok.value_or(0);
    *max_tokens =
        token_usd > 0 && rest > 0
            ? static_cast<int>(std::min<double>(*max_tokens, std::floor(rest / token_usd)))
            : 0;
    if (*max_tokens < 1) {
      return absl::ResourceExhaustedError("budget: the call costs more than it may");
    }
    bound = BoundUsd(config, far, prefix_bytes, *max_tokens);
  }
  return core_->Reserve(*snapshot_, bound, config.name);
}

void Request::OnNoMoney(const std::string& target, const absl::Status& status) {
  unaffordable_far_.insert(target);
  if (near_.serial != 0) {
    exits_ = false;  // the draft goes on, and is judged at its end
    return;
  }
  FallBack(status, Reason::kBudgetSpent, std::string(status.message()));
}

// Its breaker has opened, or another query tries it at this moment, since the decision: known
// before the draft is given up for it.
void Request::OnFarShut(const std::string& target) {
  tried_far_.insert(target);
  if (near_.serial != 0) return;  // the draft goes on; a later check may find another target
  const std::string detail = absl::StrCat("far target '", target, "': its breaker is open");
  FallBack(absl::UnavailableError(detail), Reason::kBreakerOpen, detail);
}

// No far answer is to be had of the target that was wanted: another target, or near, or the end.
void Request::FallBack(const absl::Status& status, Reason reason, std::string detail) {
  Decision decision = DecideAgain();
  if (decision.route == Route::kFar && CanStillTry(decision.target)) {
    Record(decision);
    return StartFar(std::move(decision));
  }
  if (decision.route == Route::kRefuse || !core_->near() || near_failed_) return Fail(status);
  decision.route = Route::kNear;
  decision.target.clear();
  decision.reason = reason;
  decision.detail = std::move(detail);
  decision.flagged = true;
  Record(decision);
  Flag(ReasonName(reason));
  if (DraftStands()) return AcceptDraft();
  ContinueNear(decision);
}

bool Request::DraftStands() const { return draft_finished_ && !far_wrote_; }

// The policy's word without the targets that were tried: on the draft where one stands, else on the
// query.
Decision Request::DecideAgain() {
  if (!DraftStands()) signals_.draft.reset();
  RefreshSignals();
  if (!DraftStands()) return Choose();
  DescribeDraft(/*finished=*/true);
  return Reconsider();
}

// From what is out, or, where nothing is or the app lets it be taken back, anew.
bool Request::NearCanGoOn() const {
  if (!core_->near() || near_failed_) return false;
  return released_.empty() || CanRetract() || NearContinues();
}

bool Request::NearContinues() const {
  return core_->near()->Describe().capabilities.continuation == Continuation::kExact;
}

// Whether FallBack would find an answer if the far call that runs were given up: another target, or
// near or its draft, as the policy would have it.
bool Request::AnotherWouldAnswer() {
  const Decision decision = DecideAgain();
  if (decision.route == Route::kFar && CanStillTry(decision.target)) return true;
  if (decision.route == Route::kRefuse) return false;
  return DraftStands() || NearCanGoOn();
}

void Request::ContinueNear(const Decision& decision) {
  if (near_.serial != 0) {  // it still drafts: nothing can replace the draft any more
    judged_ = false;
    return;
  }
  if (draft_ && !far_wrote_) {
    discarded_tokens_ = 0;
    Emit(draft_->TakeAll(), kNearSource);
  }
  if (!NearCanGoOn()) {
    return Fail(absl::UnavailableError("near cannot go on from what is out"));
  }
  if (!released_.empty() && !NearContinues()) RetractAll();
  StartNear(decision, /*judged=*/false);
}

}  // namespace nearfar::internal
