// See answer.h.

#include "router/cli/answer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "router/cli/decision_view.h"
#include "router/cli/exit_codes.h"
#include "router/internal/json_writer.h"

namespace nearfar::cli {
namespace {

class WaitingSink : public EventSink {
 public:
  WaitingSink(bool show, Terminal* terminal) : show_(show), terminal_(terminal) {}

  void OnStarted(const Started& event) override {
    absl::MutexLock lock(&mutex_);
    answer_.request_id = event.request_id;
    answer_.first = event.decision;
  }
  void OnDelta(const Delta& event) override {
    if (!show_) return;
    terminal_->Answer(event.text);
    if (!terminal_->output_lost()) return;
    absl::MutexLock lock(&mutex_);
    settled_ = true;
  }
  void OnFinished(const Finished& event) override {
    absl::MutexLock lock(&mutex_);
    answer_.finished = event;
    done_ = settled_ = true;
  }
  void OnFailed(const Failed& event) override {
    absl::MutexLock lock(&mutex_);
    answer_.failed = event;
    done_ = settled_ = true;
  }

  // Until the end, or until the answer can no longer be shown: then false.
  bool WaitWhileShown() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&settled_));
    return done_;
  }
  Answer Wait() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&done_));
    return answer_;
  }

 private:
  const bool show_;
  Terminal* const terminal_;
  absl::Mutex mutex_;
  Answer answer_ ABSL_GUARDED_BY(mutex_);
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  bool settled_ ABSL_GUARDED_BY(mutex_) = false;  // done, or not shown any more
};

// "net_value", or "cascade, draft_accepted" where a later decision ended it.
std::string ReasonText(const Answer& answer) {
  const std::string last = ReasonName(answer.finished->decision.reason);
  if (!answer.first.has_value()) return last;
  const std::string first = ReasonName(answer.first->reason);
  return first == last ? first : absl::StrCat(first, ", ", last);
}

const char* RouteOf(const Finished& finished) { return finished.source == "near" ? "near" : "far"; }

std::string SourceText(const Finished& finished) {
  return finished.source == "near" ? "near" : absl::StrCat("far (", finished.source, ")");
}

// The rule that decided, the limit that was met: worth a word where it is more than arithmetic.
bool DetailMatters(Reason reason) {
  return reason == Reason::kRule || reason == Reason::kTainted || reason == Reason::kRequest;
}

}  // namespace

Answer AskAndWait(AnswerDoor* door, Query query, bool show, Interrupt* interrupt,
                  Terminal* terminal) {
  auto sink = std::make_shared<WaitingSink>(show, terminal);
  const std::shared_ptr<RouterCall> call = door->Start(std::move(query), sink);
  const InterruptAction stop(interrupt, [call] { call->Cancel(); });
  if (!sink->WaitWhileShown()) call->Cancel();  // nobody can read on: no more is paid for
  return sink->Wait();
}

int PrintExplanation(AnswerDoor* door, const Query& query, bool as_json, Terminal* terminal) {
  const absl::StatusOr<Decision> decision = door->Explain(query);
  if (!decision.ok()) return terminal->Fail(decision.status());
  if (as_json) {
    internal::JsonWriter json;
    DecisionJson(*decision, &json);
    terminal->Line(json.Take());
  } else {
    terminal->Print(FormatDecision(*decision, *terminal));
  }
  return kExitOk;
}

std::string Footer(const Answer& answer, const Terminal& terminal) {
  const Finished& finished = *answer.finished;
  std::vector<std::string> parts = {SourceText(finished), ReasonText(answer)};
  if (answer.first.has_value() && DetailMatters(answer.first->reason) &&
      !answer.first->detail.empty()) {
    parts.back() += absl::StrCat(" (", answer.first->detail, ")");
  }
  if (finished.confidence.has_value()) {
    parts.push_back(absl::StrCat("confidence ", ValueText(*finished.confidence, "probability")));
  }
  parts.push_back(absl::StrCat(
      finished.near_usage.completion_tokens + finished.far_usage.completion_tokens, " tokens"));
  parts.push_back(absl::StrFormat("%.2f s", absl::ToDoubleSeconds(finished.elapsed)));
  parts.push_back(absl::StrFormat("$%.6f", finished.cost_usd));
  std::string footer = terminal.Painted(Paint::kDim, absl::StrJoin(parts, " · "));
  if (finished.flagged) {
    absl::StrAppend(
        &footer, " ",
        terminal.Painted(Paint::kWarn, absl::StrCat("[flagged: ", finished.flag_reason, "]")));
  }
  if (finished.reason == FinishReason::kLength) {
    absl::StrAppend(&footer, " ", terminal.Painted(Paint::kWarn, "[cut: --max-tokens reached]"));
  }
  return footer;
}

std::string AnswerJson(const Answer& answer) {
  internal::JsonWriter json;
  json.BeginObject();
  json.Field("request_id", answer.request_id);
  if (answer.finished.has_value()) {
    const Finished& finished = *answer.finished;
    json.Field("answer", finished.text);
    json.Field("route", RouteOf(finished));
    json.Field("source", finished.source);
    json.Field("reason", ReasonText(answer));
    json.Field("detail", answer.first.has_value() ? answer.first->detail : "");
    json.Field("confidence", finished.confidence);
    json.Field("flagged", finished.flagged);
    json.Field("flag_reason", finished.flag_reason);
    json.Field("finish_reason", FinishReasonName(finished.reason));
    json.Field("near_tokens", finished.near_usage.completion_tokens);
    json.Field("far_tokens", finished.far_usage.completion_tokens);
    json.Field("prompt_tokens",
               std::max(finished.near_usage.prompt_tokens, finished.far_usage.prompt_tokens));
    json.Field("cost_usd", finished.cost_usd);
    json.Field("seconds", absl::ToDoubleSeconds(finished.elapsed));
    json.Field("ttft_seconds", absl::ToDoubleSeconds(finished.ttft));
  } else {
    json.Key("error").BeginObject();
    json.Field("code", absl::StatusCodeToString(answer.failed.status.code()));
    json.Field("message", std::string(answer.failed.status.message()));
    json.EndObject();
    json.Field("cost_usd", answer.failed.cost_usd);
  }
  json.Key("decisions").BeginArray();
  if (answer.first.has_value()) DecisionJson(*answer.first, &json);
  if (answer.finished.has_value()) DecisionJson(answer.finished->decision, &json);
  json.EndArray();
  json.EndObject();
  return json.Take();
}

int ExitCodeOf(const Answer& answer) {
  return answer.finished.has_value() ? kExitOk : ExitCodeOf(answer.failed.status);
}

}  // namespace nearfar::cli
