#include "router/cli/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <csignal>
#include <functional>
#include <thread>

#include "router/cli/exit_codes.h"
#include "tests/router/cli/captured_terminal.h"

namespace nearfar::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class FakeCall : public RouterCall {
 public:
  explicit FakeCall(std::function<void()> on_cancel) : on_cancel_(std::move(on_cancel)) {}
  void Cancel() override { on_cancel_(); }

 private:
  std::function<void()> on_cancel_;
};

// Plays one script for each question.
class FakeDoor : public AnswerDoor {
 public:
  std::shared_ptr<RouterCall> Start(Query query, std::shared_ptr<EventSink> sink) override {
    play_(query, *sink);
    return std::make_shared<FakeCall>([sink] {
      sink->OnFailed({absl::CancelledError("stopped"), {}, 0});
    });
  }
  absl::StatusOr<Decision> Explain(const Query& query) override {
    return absl::UnavailableError("no");
  }
  absl::Status ClearTaint(const std::string&) override { return absl::OkStatus(); }
  std::string name() const override { return "a script"; }

  std::function<void(const Query&, EventSink&)> play_;
};

Decision Of(Route route, Reason reason, std::string detail = "") {
  Decision decision;
  decision.route = route;
  decision.reason = reason;
  decision.detail = std::move(detail);
  return decision;
}

void PlayAnswer(EventSink& sink) {
  sink.OnStarted({"r1", Of(Route::kDraft, Reason::kCascade)});
  sink.OnDelta({"Hel", "near"});
  sink.OnDelta({"lo", "near"});
  Finished finished;
  finished.text = "Hello";
  finished.source = "near";
  finished.decision = Of(Route::kNear, Reason::kDraftAccepted);
  finished.confidence = 0.812;
  finished.near_usage.completion_tokens = 14;
  finished.elapsed = absl::Milliseconds(420);
  sink.OnFinished(finished);
}

TEST(AskAndWait, PrintsTheAnswerAsItComes) {
  FakeDoor door;
  door.play_ = [](const Query&, EventSink& sink) { PlayAnswer(sink); };
  Interrupt interrupt;
  CapturedTerminal captured;
  const Answer answer = AskAndWait(&door, {}, true, &interrupt, captured.get());
  EXPECT_EQ(captured.out(), "Hello");
  EXPECT_EQ(ExitCodeOf(answer), kExitOk);
  EXPECT_EQ(Footer(answer, *captured.get()),
            "near · cascade, draft_accepted · confidence 81.2 % · 14 tokens · 0.42 s · $0.000000");
}

TEST(AskAndWait, IsSilentWhereAsked) {
  FakeDoor door;
  door.play_ = [](const Query&, EventSink& sink) { PlayAnswer(sink); };
  Interrupt interrupt;
  CapturedTerminal captured;
  AskAndWait(&door, {}, false, &interrupt, captured.get());
  EXPECT_EQ(captured.out(), "");
}

TEST(AskAndWait, WaitsForAnotherThread) {
  FakeDoor door;
  std::thread thread;
  door.play_ = [&](const Query&, EventSink& sink) {
    thread = std::thread([&sink] { PlayAnswer(sink); });
  };
  Interrupt interrupt;
  CapturedTerminal captured;
  const Answer answer = AskAndWait(&door, {}, true, &interrupt, captured.get());
  thread.join();
  EXPECT_EQ(answer.finished->text, "Hello");
}

TEST(AskAndWait, CtrlCCancels) {
  FakeDoor door;
  door.play_ = [](const Query&, EventSink& sink) {
    sink.OnStarted({"r1", {}});
    kill(getpid(), SIGINT);  // nothing else ends this question
  };
  Interrupt interrupt;
  CapturedTerminal captured;
  const Answer answer = AskAndWait(&door, {}, true, &interrupt, captured.get());
  EXPECT_EQ(ExitCodeOf(answer), kExitInterrupted);
}

TEST(AskAndWait, AnOutputThatCannotBeWrittenCancels) {
  FakeDoor door;
  door.play_ = [](const Query&, EventSink& sink) {
    sink.OnStarted({"r1", {}});
    sink.OnDelta({"nobody reads this", "near"});  // nothing else ends this question
  };
  Interrupt interrupt;
  std::FILE* full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  Terminal terminal(full, full, false, 80);
  const Answer answer = AskAndWait(&door, {}, true, &interrupt, &terminal);
  std::fclose(full);
  EXPECT_TRUE(absl::IsCancelled(answer.failed.status));
}

TEST(Footer, TellsTheFarSideTheFlagAndTheRule) {
  Answer answer;
  answer.first = Of(Route::kNear, Reason::kRule, "keep-secrets-home");
  answer.finished = Finished{};
  answer.finished->source = "home";
  answer.finished->decision = Of(Route::kNear, Reason::kRule, "keep-secrets-home");
  answer.finished->flagged = true;
  answer.finished->flag_reason = "far_failed";
  answer.finished->cost_usd = 0.00125;
  answer.finished->reason = FinishReason::kLength;
  CapturedTerminal captured;
  const std::string footer = Footer(answer, *captured.get());
  EXPECT_THAT(footer, HasSubstr("far (home) · rule (keep-secrets-home)"));
  EXPECT_THAT(footer, HasSubstr("$0.001250"));
  EXPECT_THAT(footer, HasSubstr("[flagged: far_failed]"));
  EXPECT_THAT(footer, HasSubstr("--max-tokens reached"));
  EXPECT_THAT(footer, Not(HasSubstr("confidence")));
}

TEST(AnswerJson, TellsAnAnswerAndAFailure) {
  Answer answer;
  answer.request_id = "r1";
  answer.finished = Finished{};
  answer.finished->text = "a \"b\"\n";
  answer.finished->source = "near";
  EXPECT_THAT(AnswerJson(answer), HasSubstr(R"("answer":"a \"b\"\u000a","route":"near")"));
  Answer failed;
  failed.failed.status = absl::ResourceExhaustedError("the budget is spent");
  EXPECT_THAT(
      AnswerJson(failed),
      HasSubstr(R"("error":{"code":"RESOURCE_EXHAUSTED","message":"the budget is spent"})"));
  EXPECT_EQ(ExitCodeOf(failed), kExitTemporary);
}

}  // namespace
}  // namespace nearfar::cli
