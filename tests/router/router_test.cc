// Holds router/router.h: every route, every way to fall back, and the promises (a) to (d) and (g)
// of the design, against sides that answer, break, hang, end twice and speak late.

#include "router/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <thread>

#include "tests/testing/router_bench.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

using testing::EventRecorder;
using testing::FakeBackend;
using testing::FakeCall;
using ::testing::HasSubstr;
using ::testing::Not;

class RouterTest : public testing::RouterBench {};

// --- routes --------------------------------------------------------------------------------------

TextFindings FindsCards(std::string_view text) {
  TextFindings findings;
  if (text.find("4111") != std::string_view::npos) findings.pii = static_cast<PiiSet>(Pii::kCard);
  return findings;
}

TEST_F(RouterTest, NearAnswersAndStreams) {
  auto events = Start(Ask("2 + 2?"));
  ASSERT_TRUE(events->started());
  EXPECT_EQ(events->started()->decision.route, Route::kNear);
  near->last().Say("It");
  EXPECT_EQ(events->text(), "It");
  near->last().Say(" is").Say(" 4.").Finish();
  ASSERT_TRUE(events->finished());
  EXPECT_EQ(events->finished()->text, "It is 4.");
  EXPECT_EQ(events->finished()->source, "near");
  EXPECT_EQ(events->finished()->near_usage.completion_tokens, 3);
  EXPECT_FALSE(events->finished()->flagged);
  EXPECT_EQ(far().calls(), 0);
  EXPECT_EQ(Records()[0].egress_bytes, 0);
}

TEST_F(RouterTest, FarAnswersWithMoneyReservedBeforeAndSettledAfter) {
  limit_usd = 1.0;
  policy->choose = Always(To(Route::kFar, Reason::kNetValue, "home"));
  auto events = Start(Ask("hard question"));
  ASSERT_EQ(far().calls(), 1);
  EXPECT_GT(ledger->SpentUsd(), 0) << "reserved before the first byte left";
  far().last().Say("Because").Finish(FinishReason::kStop, 0.25);
  ASSERT_TRUE(events->finished());
  EXPECT_EQ(events->finished()->source, "home");
  EXPECT_DOUBLE_EQ(events->finished()->cost_usd, 0.25);
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 0.25);
  EXPECT_EQ(near->calls(), 0);
  LogRow row = Records()[0];
  EXPECT_EQ(row.egress_bytes, 13);
  EXPECT_EQ(row.source, "home");
}

TEST_F(RouterTest, FarsUsageTimesPriceIsTheBillWhereItTellsNone) {
  limit_usd = 1.0;
  policy->choose = Always(To(Route::kFar, Reason::kNetValue, "home"));
  auto events = Start(Ask("hard question"));
  far().last().Say("a").Say("b").Finish();
  EXPECT_NEAR(events->finished()->cost_usd, (10 * 1 + 2 * 2) * 1e-6, 1e-15);
}

TEST_F(RouterTest, AnAcceptedDraftIsReleasedAtOnceWhenJudged) {
  RejectDrafts();
  policy->reconsider = [](const Signals& signals) {
    Decision decision =
        To(signals.draft->finished ? Route::kNear : Route::kDraft, Reason::kDraftAccepted);
    if (signals.draft->finished) decision.confidence = 0.9;
    return decision;
  };
  auto events = Start(Ask("2 + 2?"));
  near->last().SayWords("It is 4.");
  EXPECT_EQ(events->text(), "") << "judged: nothing before the draft is accepted";
  clock.Advance(absl::Seconds(3));
  near->last().Finish();
  ASSERT_TRUE(events->finished());
  EXPECT_EQ(events->finished()->text, "It is 4.");
  EXPECT_EQ(events->deltas().size(), 1u);
  EXPECT_EQ(events->finished()->confidence, 0.9);
  EXPECT_EQ(events->finished()->ttft, absl::Seconds(3));
  EXPECT_EQ(events->finished()->decision.reason, Reason::kDraftAccepted);
}

TEST_F(RouterTest, ARejectedDraftIsAnsweredByFarAfresh) {
  limit_usd = 1.0;
  RejectDrafts();
  auto events = Start(Ask("hard"));
  near->last().SayWords("no idea").Finish();
  ASSERT_EQ(far().calls(), 1);
  EXPECT_EQ(far().last().request().assistant_prefix, "");
  far().last().Say("The answer").Finish();
  EXPECT_EQ(events->finished()->text, "The answer");
  EXPECT_EQ(events->finished()->near_usage.completion_tokens, 2);
  LogRow row = Records()[0];
  EXPECT_THAT(row.record_json, HasSubstr("\"discarded_tokens\":2"));
  EXPECT_EQ(row.reason, "draft_rejected");
}

TEST_F(RouterTest, AnEarlyExitStopsNearBeforeFarStarts) {
  ExitAfter(2);
  bool near_was_free = false;
  far().script = [&](FakeCall&) { near_was_free = near->call(0).cancelled(); };
  auto events = Start(Ask("hard"));
  near->last().Say("I").Say(" think");
  ASSERT_EQ(far().calls(), 1);
  EXPECT_TRUE(near_was_free);
  far().last().Say("Sure").Finish();
  EXPECT_EQ(events->finished()->text, "Sure");
  EXPECT_EQ(events->finished()->decision.reason, Reason::kEarlyExit);
}

TEST_F(RouterTest, ARefusalFailsWithItsReason) {
  policy->choose = Always(To(Route::kRefuse, Reason::kBudgetSpent));
  auto events = Start(Ask("x"));
  ASSERT_TRUE(events->failed());
  EXPECT_TRUE(absl::IsResourceExhausted(events->failed()->status));
  EXPECT_EQ(near->calls() + far().calls(), 0);
}

TEST_F(RouterTest, ExplainRunsNothingAndLeavesNoRecord) {
  Query query = Ask("x");
  query.session_key = "s";
  policy->choose = [](const Signals&) {
    Decision decision = To(Route::kNear, Reason::kRule);
    decision.taint = Taint::kSession;
    return decision;
  };
  auto decision = router().Explain(query);
  ASSERT_TRUE(decision.ok()) << decision.status();
  EXPECT_EQ(decision->reason, Reason::kRule);
  EXPECT_EQ(near->calls(), 0);
  policy->choose = Always(To(Route::kFar, Reason::kFixed, "home"));
  auto events = Start(query);
  EXPECT_EQ(far().calls(), 1) << "explaining does not taint";
  call->Cancel();
  EXPECT_TRUE(absl::IsInvalidArgument(router().Explain(Query()).status()));
  EXPECT_EQ(Records().size(), 1u);
}

// --- falling back --------------------------------------------------------------------------------

// Far as long as it is reachable, then near.
std::function<Decision(const Signals&)> FarThenNear() {
  return [](const Signals& signals) {
    Decision decision;
    decision.route = Route::kFar;
    decision.reason = Reason::kNetValue;
    for (const FarSignals& far : signals.far) {
      if (far.health == Health::kUnreachable) continue;
      if (signals.budget.limit_usd && *signals.budget.remaining_usd() <= 0) break;
      decision.target = far.name;
      return decision;
    }
    decision.route = Route::kNear;
    decision.reason = Reason::kOffline;
    decision.flagged = true;
    return decision;
  };
}

TEST_F(RouterTest, FarDeadMeansNearAnswersFlagged) {
  policy->choose = FarThenNear();
  far().script = [](FakeCall& call) { call.Fail(absl::UnavailableError("no route")); };
  for (int i = 0; i < 20; ++i) {
    auto events = Start(Ask("q"));
    ASSERT_EQ(near->calls(), i + 1);
    near->last().Say("near answer").Finish();
    ASSERT_TRUE(events->finished());
    EXPECT_TRUE(events->finished()->flagged);
    EXPECT_EQ(events->finished()->flag_reason, "far_failed");
    EXPECT_EQ(events->finished()->source, "near");
  }
}

TEST_F(RouterTest, AnUnbilledFailureGivesItsMoneyBackAndABilledOneDoesNot) {
  limit_usd = 1.0;
  policy->choose = FarThenNear();
  auto events = Start(Ask("q"));
  const double reserved = ledger->SpentUsd();
  ASSERT_GT(reserved, 0);
  far().last().Fail(absl::UnavailableError("x"), ErrorKind::kUnavailable, false);
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 0);
  near->last().Say("n").Finish();
  EXPECT_DOUBLE_EQ(events->finished()->cost_usd, 0);

  events = Start(Ask("q"));
  far().last().Fail(absl::InternalError("x"), ErrorKind::kInternal, true);
  near->last().Say("n").Finish();
  EXPECT_DOUBLE_EQ(events->finished()->cost_usd, reserved);
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), reserved);
}

TEST_F(RouterTest, ASecondFarTargetIsTriedBeforeNear) {
  AddFar("other", Continuation::kExact);
  policy->choose = FarThenNear();
  auto events = Start(Ask("q"));
  far().last().Fail(absl::UnavailableError("x"));
  ASSERT_EQ(far_sides["other"]->calls(), 1);
  far_sides["other"]->last().Say("yes").Finish();
  EXPECT_EQ(events->finished()->source, "other");
  EXPECT_FALSE(events->finished()->flagged);
  EXPECT_EQ(Records()[0].egress_bytes, 2) << "the prompt left twice";
}

TEST_F(RouterTest, ThePolicyMayRefuseInsteadOfFallingBack) {
  policy->choose = [](const Signals& signals) {
    return signals.far[0].health == Health::kUnreachable ? To(Route::kRefuse, Reason::kOffline)
                                                         : To(Route::kFar, Reason::kFixed, "home");
  };
  auto events = Start(Ask("q"));
  far().last().Fail(absl::UnavailableError("no route"));
  ASSERT_TRUE(events->failed());
  EXPECT_TRUE(absl::IsUnavailable(events->failed()->status));
  EXPECT_EQ(near->calls(), 0);
}

TEST_F(RouterTest, FarBreakingInMidAnswerIsContinuedByNear) {
  policy->choose = FarThenNear();
  auto events = Start(Ask("q"));
  far().last().Say("The first").Say(" half");
  far().last().Fail(absl::UnavailableError("reset"), ErrorKind::kUnavailable, true);
  ASSERT_EQ(near->calls(), 1);
  EXPECT_EQ(near->last().request().assistant_prefix, "The first half");
  near->last().Say(" and the second.").Finish();
  EXPECT_EQ(events->finished()->text, "The first half and the second.");
  EXPECT_TRUE(events->finished()->flagged);
}

TEST_F(RouterTest, AFinishedDraftIsTheAnswerWhenFarFails) {
  RejectDrafts();
  auto events = Start(Ask("q"));
  near->last().SayWords("my best guess").Finish();
  far().last().Fail(absl::UnavailableError("x"));
  ASSERT_TRUE(events->finished());
  EXPECT_EQ(events->finished()->text, "my best guess");
  EXPECT_EQ(events->finished()->flag_reason, "far_failed");
  EXPECT_EQ(near->calls(), 1);
}

TEST_F(RouterTest, AnInterruptedDraftIsContinuedWhenFarFails) {
  ExitAfter(2);
  auto events = Start(Ask("q"));
  near->last().SayWords("my best");
  far().last().Fail(absl::UnavailableError("x"));
  ASSERT_EQ(near->calls(), 2);
  EXPECT_EQ(near->last().request().assistant_prefix, "my best");
  near->last().Say(" guess").Finish();
  EXPECT_EQ(events->finished()->text, "my best guess");
  EXPECT_EQ(events->finished()->near_usage.completion_tokens, 3);
}

TEST_F(RouterTest, TheTargetThatARuleNamedIsRememberedWhenItFails) {
  AddFar("other", Continuation::kExact);
  std::string remembered;
  policy->choose = [&](const Signals& signals) {
    remembered = signals.bound_target;
    if (!remembered.empty()) return To(Route::kNear);
    Decision decision = To(Route::kFar, Reason::kRule, "home");
    decision.bound_target = "home";
    return decision;
  };
  auto events = Start(Ask("q"));
  EXPECT_EQ(remembered, "");
  far().last().Fail(absl::UnavailableError("x"));
  EXPECT_EQ(remembered, "home");
  near->last().Say("near").Finish();
  EXPECT_EQ(events->finished()->text, "near");
  EXPECT_EQ(far_sides["other"]->calls(), 0);
}

TEST_F(RouterTest, AnEmptyFarAnswerIsAFailure) {
  policy->choose = FarThenNear();
  auto events = Start(Ask("q"));
  far().last().Finish();
  near->last().Say("near").Finish();
  EXPECT_EQ(events->finished()->text, "near");
  EXPECT_TRUE(events->finished()->flagged);
}

TEST_F(RouterTest, NearFailingGoesFar) {
  RejectDrafts();
  auto events = Start(Ask("q"));
  near->last().Say("x");
  near->last().Fail(absl::InternalError("broken"), ErrorKind::kInternal);
  ASSERT_EQ(far().calls(), 1);
  far().last().Say("far").Finish();
  EXPECT_EQ(events->finished()->text, "far");
  EXPECT_EQ(events->finished()->decision.reason, Reason::kNearFailed);
}

TEST_F(RouterTest, BothFailingFailsOnce) {
  RejectDrafts();
  auto events = Start(Ask("q"));
  near->last().Fail(absl::InternalError("broken"), ErrorKind::kInternal);
  far().last().Fail(absl::UnavailableError("x"));
  ASSERT_TRUE(events->failed());
  EXPECT_EQ(router().status().active, 0);
}

TEST_F(RouterTest, ASilentFarIsGivenUpWhileNearStillHasTime) {
  limit_usd = 1.0;
  policy->choose = FarThenNear();
  Query query = Ask("q");
  query.deadline = clock.Now() + absl::Seconds(20);
  auto events = Start(query);
  timer->Advance(absl::Seconds(10));
  EXPECT_TRUE(far().last().abandoned());
  ASSERT_EQ(near->calls(), 1);
  near->last().Say("near").Finish();
  EXPECT_EQ(events->finished()->text, "near");
  EXPECT_GT(events->finished()->cost_usd, 0) << "cancelled without usage: its reservation";
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), events->finished()->cost_usd);
}

// Nobody else can answer: the far side has until the deadline, and is then no less silent.
TEST_F(RouterTest, AFarThatIsSilentUntilTheDeadlineIsAbandonedAndACancelledOneIsNot) {
  near = nullptr;
  policy->choose = Always(To(Route::kFar, Reason::kFixed, "home"));
  Query query = Ask("q");
  query.deadline = clock.Now() + absl::Seconds(20);
  auto events = Start(query);
  timer->Advance(absl::Seconds(20));
  ASSERT_TRUE(events->failed());
  EXPECT_TRUE(far().last().abandoned());
  query.deadline = clock.Now() + absl::Seconds(20);
  Start(query);
  call->Cancel();
  EXPECT_TRUE(far().last().cancelled());
  EXPECT_FALSE(far().last().abandoned());
}

TEST_F(RouterTest, AFarThatSpokeAndFellSilentIsAbandonedAtTheDeadlineToo) {
  near = nullptr;
  policy->choose = Always(To(Route::kFar, Reason::kFixed, "home"));
  Query query = Ask("q");
  query.deadline = clock.Now() + absl::Seconds(20);
  auto events = Start(query);
  far().last().Say("one");
  timer->Advance(absl::Seconds(20));
  ASSERT_TRUE(events->failed());
  EXPECT_TRUE(far().last().abandoned());
}

// A slow answer is better than none: nobody gives up a far side for a refusal.
TEST_F(RouterTest, ASilentFarIsKeptWhereThePolicyWouldRefuse) {
  policy->choose = [](const Signals& signals) {
    const bool up = signals.far[0].health != Health::kUnreachable;
    return up ? To(Route::kFar, Reason::kFixed, "home") : To(Route::kRefuse, Reason::kOffline);
  };
  auto events = Start(Ask("q"));
  timer->Advance(absl::Seconds(100));
  EXPECT_FALSE(far().last().cancelled());
  EXPECT_EQ(near->calls(), 0);
  far().last().Say("late").Finish();
  EXPECT_EQ(events->finished()->text, "late");
}

TEST_F(RouterTest, SettingTheWallClockDoesNotMakeAFarSilent) {
  testing::FakeClock steady;
  timer = std::make_shared<testing::FakeTimer>(&steady);
  policy->choose = FarThenNear();
  auto events = Start(Ask("q"));
  for (absl::Duration jump : {absl::Hours(1), -absl::Hours(2)}) {
    far().last().Say("a");
    clock.Advance(jump);
    timer->Advance(absl::Seconds(14));
    EXPECT_FALSE(far().last().cancelled());
  }
  timer->Advance(absl::Seconds(1));
  EXPECT_TRUE(far().last().abandoned());
  call->Cancel();
}

TEST_F(RouterTest, AFarThatSpeaksIsNotGivenUp) {
  policy->choose = FarThenNear();
  auto events = Start(Ask("q"));
  far().last().Say("slow");
  for (int i = 0; i < 6; ++i) {
    timer->Advance(absl::Seconds(14));
    EXPECT_FALSE(far().last().cancelled());
    far().last().Say(".");
  }
  far().last().Say(" but fine").Finish();
  EXPECT_EQ(events->finished()->text, "slow...... but fine");
}

TEST_F(RouterTest, AFarThatFallsSilentIsContinuedByNear) {
  policy->choose = FarThenNear();
  auto events = Start(Ask("q"));
  far().last().Say("one");
  timer->Advance(absl::Seconds(10));
  far().last().Say(" two");
  timer->Advance(absl::Seconds(15) - absl::Milliseconds(1));
  EXPECT_FALSE(far().last().cancelled());
  timer->Advance(absl::Milliseconds(1));
  EXPECT_TRUE(far().last().cancelled());
  ASSERT_EQ(near->calls(), 1);
  EXPECT_EQ(near->last().request().assistant_prefix, "one two");
  near->last().Say(" three").Finish();
  EXPECT_EQ(events->finished()->text, "one two three");
  EXPECT_EQ(events->finished()->flag_reason, "far_failed");
  EXPECT_EQ(events->finished()->far_usage.completion_tokens, 2);
}

TEST_F(RouterTest, ASlowFarIsWaitedForAsItsSpeedAsks) {
  policy->choose = FarThenNear();
  far().measured.decode_tokens_per_second = 0.5;
  Start(Ask("q"));
  far().last().Say("one");
  timer->Advance(absl::Seconds(39));
  EXPECT_FALSE(far().last().cancelled());
  timer->Advance(absl::Seconds(1));
  EXPECT_TRUE(far().last().cancelled()) << "twenty times two seconds";
  call->Cancel();
}

TEST_F(RouterTest, AFarThatFallsSilentIsKeptWhereNobodyCouldGoOn) {
  near->description.capabilities.continuation = Continuation::kNone;
  policy->choose = FarThenNear();
  auto events = Start(Ask("q"));
  far().last().Say("one");
  timer->Advance(absl::Seconds(60));
  EXPECT_FALSE(far().last().cancelled());
  far().last().Say(" two").Finish();
  EXPECT_EQ(events->finished()->text, "one two");
}

TEST_F(RouterTest, AGatewayLeavesASilentTargetForAnother) {
  near = nullptr;
  AddFar("other", Continuation::kExact);
  policy->choose = FarThenNear();
  auto events = Start(Ask("q"));
  timer->Advance(absl::Seconds(20));
  EXPECT_TRUE(far().last().cancelled());
  FakeBackend& other = *far_sides["other"];
  ASSERT_EQ(other.calls(), 1);
  timer->Advance(absl::Seconds(60));
  EXPECT_FALSE(other.last().cancelled()) << "nobody else is left: the deadline alone counts";
  other.last().Say("yes").Finish();
  EXPECT_EQ(events->finished()->source, "other");
}

TEST_F(RouterTest, ABreakerThatOpensBeforeTheHandoverLeavesTheDraftAlone) {
  ExitAfter(2);
  policy->reconsider = [after = policy->reconsider](Signals signals) {
    // A policy that looked before the breaker opened.
    if (!signals.draft->finished) signals.far[0].health = Health::kHealthy;
    return after(signals);
  };
  far().state = Health::kBreakerOpen;
  auto events = Start(Ask("q"));
  near->last().SayWords("my own words").Finish();
  EXPECT_FALSE(near->last().cancelled());
  EXPECT_EQ(near->calls(), 1);
  EXPECT_EQ(far().calls(), 0);
  EXPECT_EQ(events->finished()->text, "my own words");
}

TEST_F(RouterTest, ATargetWhoseBreakerIsOpenIsNotCalled) {
  policy->choose = FarThenNear();
  far().state = Health::kBreakerOpen;
  auto events = Start(Ask("q"));
  EXPECT_EQ(far().calls(), 0);
  near->last().Say("near").Finish();
  EXPECT_EQ(events->finished()->flag_reason, "breaker_open");
  EXPECT_EQ(Records()[0].egress_bytes, 0);
}

// --- what a server says --------------------------------------------------------------------------

TEST_F(RouterTest, AServersWordsReachTheCallerAndNeverTheLog) {
  policy->choose = FarThenNear();
  const absl::Status quoted = absl::InvalidArgumentError("cannot answer 'my secret \xff'");
  auto fallen_back = Start(Ask("my secret"));
  far().last().Fail(quoted, ErrorKind::kBadRequest);
  near->last().Say("near").Finish();
  const Decision decision = fallen_back->finished()->decision;
  EXPECT_EQ(decision.reason, Reason::kFarFailed);
  EXPECT_EQ(decision.detail, "far target 'home': bad_request (INVALID_ARGUMENT)");

  auto failed = Start(Ask("my secret"));
  near->script = [](FakeCall& call) { call.Fail(absl::InternalError("broken")); };
  far().last().Fail(quoted, ErrorKind::kBadRequest);
  EXPECT_THAT(failed->failed()->decision.detail, Not(HasSubstr("secret")));

  policy->choose = [](const Signals& signals) {
    return signals.far[0].health == Health::kUnreachable ? To(Route::kRefuse, Reason::kOffline)
                                                         : To(Route::kFar, Reason::kFixed, "home");
  };
  auto refused = Start(Ask("my secret"));
  far().last().Fail(quoted, ErrorKind::kBadRequest);
  EXPECT_EQ(refused->failed()->status.message(), "cannot answer 'my secret \xEF\xBF\xBD'");
  const auto records = Records();
  ASSERT_EQ(records.size(), 3u);
  for (const LogRow& row : records) {
    EXPECT_THAT(row.detail, Not(HasSubstr("secret")));
    EXPECT_THAT(row.record_json, Not(HasSubstr("secret")));
  }
}

// --- (a) money -----------------------------------------------------------------------------------

TEST_F(RouterTest, ASpentBudgetIsAWall) {
  limit_usd = 0.001;
  policy->choose = FarThenNear();
  double billed = 0;
  for (int i = 0; i < 20; ++i) {
    auto events = Start(Ask("q"));
    if (far().calls() > 0 && !events->ended() && near->calls() == 0) {
      far().last().Say("far").Finish(FinishReason::kStop, 0.0004);
      billed += 0.0004;
      continue;
    }
    near->last().Say("near").Finish();
    ASSERT_TRUE(events->finished());
    EXPECT_EQ(events->finished()->flag_reason, "budget_spent");
  }
  EXPECT_GT(billed, 0);
  EXPECT_LE(billed, *limit_usd);
  EXPECT_LE(ledger->SpentUsd(), *limit_usd);
}

TEST_F(RouterTest, AFreeTargetIsTriedWhereAPricedOneIsNotAffordable) {
  limit_usd = 1e-9;
  AddFar("gratis", Continuation::kExact);
  policy->settings.far[1].input_usd_per_mtok = policy->settings.far[1].output_usd_per_mtok = 0;
  policy->choose = [](const Signals& signals) {
    const bool spent = *signals.budget.remaining_usd() <= 0;
    return To(Route::kFar, Reason::kNetValue, spent ? "gratis" : "home");
  };
  auto events = Start(Ask("q"));
  EXPECT_EQ(far().calls(), 0);
  ASSERT_EQ(far_sides["gratis"]->calls(), 1);
  far_sides["gratis"]->last().Say("free").Finish();
  EXPECT_EQ(events->finished()->text, "free");
}

TEST_F(RouterTest, ALedgerThatCannotWriteSendsNothingThatCosts) {
  class BrokenLedger : public Ledger {
   public:
    absl::StatusOr<int64_t> Reserve(double, const std::string&) override {
      return absl::UnavailableError("disk full");
    }
    absl::Status Settle(int64_t, double) override { return absl::UnavailableError("disk full"); }
    double SpentUsd() const override { return 0; }
    std::optional<double> limit_usd() const override { return std::nullopt; }
    absl::Time window_start() const override { return absl::UnixEpoch(); }
    absl::Status SetLimit(std::optional<double>, absl::Duration, double) override {
      return absl::OkStatus();
    }
  };
  ledger = std::make_shared<BrokenLedger>();
  policy->choose = Always(To(Route::kFar, Reason::kNetValue, "home"));
  auto events = Start(Ask("q"));
  EXPECT_EQ(far().calls(), 0);
  near->last().Say("near").Finish();
  EXPECT_EQ(events->finished()->flag_reason, "budget_spent");
}

TEST_F(RouterTest, WhatNeverLeftIsNotCounted) {
  policy->choose = FarThenNear();
  auto events = Start(Ask("q"));
  BackendError open_breaker{absl::UnavailableError("open"), ErrorKind::kUnavailable, false, true};
  far().last().Fail(open_breaker);
  near->last().Say("near").Finish();
  EXPECT_EQ(Records()[0].egress_bytes, 0);
}

TEST_F(RouterTest, MaxCostClipsTheTokensThatFarMayWrite) {
  limit_usd = 1.0;
  policy->choose = Always(To(Route::kFar, Reason::kFixed, "home"));
  Query query = Ask("q");
  query.max_tokens = 1000;
  query.options.max_cost_usd = 0.0005;
  Start(query);
  EXPECT_LT(far().last().request().max_tokens, 1000);
  EXPECT_LE(ledger->SpentUsd(), 0.0005);
  call->Cancel();
  query.options.max_cost_usd = 0;
  auto events = Start(query);
  EXPECT_EQ(far().calls(), 1) << "nothing is affordable";
}

TEST_F(RouterTest, ALimitWithoutALedgerFailsClosed) {
  policy->choose = FarThenNear();
  policy->settings.budget.limit_usd = 1.0;
  auto events = Start(Ask("q"));
  EXPECT_EQ(far().calls(), 0);
  near->last().Say("near").Finish();
  EXPECT_EQ(events->finished()->flag_reason, "budget_spent");
}

// --- (b), (c) one end, in time -------------------------------------------------------------------

TEST_F(RouterTest, HangingSidesEndAtTheDeadline) {
  near->cancel_answers = false;
  far().cancel_answers = false;
  limit_usd = 1.0;
  for (Route route : {Route::kNear, Route::kFar, Route::kDraft}) {
    policy->choose = Always(To(route, Reason::kFixed, "home"));
    Query query = Ask("q");
    query.deadline = clock.Now() + absl::Seconds(5);
    auto events = Start(query);
    timer->Advance(absl::Seconds(5) - absl::Milliseconds(1));
    EXPECT_FALSE(events->ended()) << RouteName(route);
    timer->Advance(absl::Milliseconds(1));
    ASSERT_TRUE(events->failed()) << RouteName(route);
    EXPECT_TRUE(absl::IsDeadlineExceeded(events->failed()->status));
  }
  EXPECT_EQ(router().status().active, 0);
  EXPECT_EQ(timer->pending(), 0);
}

TEST_F(RouterTest, ADeadlineInThePastFailsAtOnce) {
  Query query = Ask("q");
  query.deadline = clock.Now();
  auto events = Start(query);
  EXPECT_TRUE(absl::IsDeadlineExceeded(events->failed()->status));
  EXPECT_EQ(near->calls(), 0);
}

TEST_F(RouterTest, SidesThatEndTwiceOrSpeakLateAreNotHeard) {
  auto events = Start(Ask("q"));
  near->last().Say("one").Finish().Finish();
  near->last().Say("late");
  near->last().Fail(absl::InternalError("x"));
  EXPECT_EQ(events->finished()->text, "one");

  policy->choose = FarThenNear();
  events = Start(Ask("q"));
  FakeCall& first = far().last();
  first.Say("a");
  first.Fail(absl::UnavailableError("x"));
  first.Say("ghost").Finish();
  near->last().Say("b").Finish();
  EXPECT_EQ(events->finished()->text, "ab");
}

TEST_F(RouterTest, ALateEndStillSettlesTheMoney) {
  limit_usd = 1.0;
  far().cancel_answers = false;
  policy->choose = Always(To(Route::kFar, Reason::kFixed, "home"));
  auto events = Start(Ask("q"));
  const double reserved = ledger->SpentUsd();
  call->Cancel();
  EXPECT_TRUE(absl::IsCancelled(events->failed()->status));
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), reserved) << "not known yet: the reservation stands";
  far().last().Finish(FinishReason::kStop, 0.00001);
  EXPECT_DOUBLE_EQ(ledger->SpentUsd(), 0.00001);
}

TEST_F(RouterTest, BadQueriesFailWithoutAStart) {
  std::vector<Query> bad(6, Ask("q"));
  bad[0].messages.clear();
  bad[1].messages[0].role = "robot";
  bad[2].sampling.top_p = 0;
  bad[3].options.route = Route::kDraft;
  bad[4].messages[0].content = "\xff";
  bad[5].max_tokens = -1;
  for (Query& query : bad) {
    auto events = Start(query);
    ASSERT_TRUE(events->failed());
    EXPECT_TRUE(absl::IsInvalidArgument(events->failed()->status));
    EXPECT_FALSE(events->started());
  }
  EXPECT_TRUE(Records().empty());
}

TEST_F(RouterTest, TooManyAtOnceAreRefused) {
  max_active = 2;
  auto one = Start(Ask("q"));
  auto two = Start(Ask("q"));
  auto three = Start(Ask("q"));
  EXPECT_TRUE(absl::IsResourceExhausted(three->failed()->status));
  EXPECT_EQ(router().status().active, 2);
  near->last().Say("x").Finish();
  EXPECT_FALSE(Start(Ask("q"))->ended());
  call->Cancel();
  Records();
  EXPECT_TRUE(absl::IsCancelled(one->failed()->status)) << "the router's end cancels what runs";
}

TEST_F(RouterTest, CancelFreesBothSides) {
  auto events = Start(Ask("q"));
  call->Cancel();
  call->Cancel();
  EXPECT_TRUE(near->last().cancelled());
  EXPECT_TRUE(absl::IsCancelled(events->failed()->status));

  policy->choose = FarThenNear();
  events = Start(Ask("q"));
  far().last().Say("a");
  call->Cancel();
  EXPECT_TRUE(far().last().cancelled());
  EXPECT_TRUE(absl::IsCancelled(events->failed()->status));
  EXPECT_EQ(near->calls(), 1) << "a cancelled far call is no reason to start near";
}

TEST_F(RouterTest, TheAppMayCancelFromWithinAnEvent) {
  auto events = std::make_shared<EventRecorder>();
  events->on_delta = [&](const std::string&) { call->Cancel(); };
  call = router().Start(Ask("q"), events);
  near->last().Say("x");
  EXPECT_TRUE(absl::IsCancelled(events->failed()->status));
  EXPECT_TRUE(near->last().cancelled());
}

TEST_F(RouterTest, SplitAndInvalidUtf8LeavesWhole) {
  auto events = Start(Ask("q"));
  near->last().Say("a\xE2\x82").Say("\xAC").Say("\xff").Say("b\xE2").Finish();
  EXPECT_EQ(events->finished()->text,
            "a\xE2\x82\xAC\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
}

// --- (g) privacy ---------------------------------------------------------------------------------

TEST_F(RouterTest, ATaintedSessionStaysHome) {
  policy->choose = [](const Signals& signals) {
    const bool secret = !signals.prompt.findings.keywords.empty();
    if (signals.tainted) return To(Route::kNear, Reason::kTainted);
    Decision decision = To(secret ? Route::kNear : Route::kFar, Reason::kRule, "home");
    if (secret) decision.taint = Taint::kSession;
    return decision;
  };
  policy->scan = [](std::string_view text) {
    TextFindings findings;
    if (text.find("password") != std::string_view::npos) findings.keywords = {"password"};
    return findings;
  };
  Query query = Ask("my password is x");
  query.session_key = "alice";
  Start(query);
  near->last().Say("ok").Finish();
  query = Ask("and what is the capital of France?");
  query.session_key = "alice";
  auto events = Start(query);
  EXPECT_EQ(events->started()->decision.reason, Reason::kTainted);
  near->last().Say("Paris").Finish();
  EXPECT_EQ(far().calls(), 0);
  query.session_key = "bob";
  Start(query);
  EXPECT_EQ(far().calls(), 1);
  call->Cancel();
  EXPECT_TRUE(router().ClearTaint("alice").ok());
  query.session_key = "alice";
  Start(query);
  EXPECT_EQ(far().calls(), 2);
  call->Cancel();
  auto records = Records();
  for (size_t i = 2; i < 4; ++i) {
    EXPECT_EQ(records[i].egress_bytes, 0);
    EXPECT_TRUE(records[i].tainted);
  }
}

// Taints every session; once tainted stays home, else goes far.
std::function<Decision(const Signals&)> FarUnlessTainted() {
  return [](const Signals& signals) {
    Decision decision;
    decision.route = signals.tainted ? Route::kNear : Route::kFar;
    decision.reason = signals.tainted ? Reason::kTainted : Reason::kFixed;
    decision.target = signals.tainted ? "" : "home";
    return decision;
  };
}

std::function<Decision(const Signals&)> TaintTheSession() {
  return [](const Signals&) {
    Decision decision;
    decision.reason = Reason::kRule;
    decision.taint = Taint::kSession;
    return decision;
  };
}

TEST_F(RouterTest, TaintOutlastsTheProcessUntilItsUserClearsIt) {
  const testing::TempDir folder;
  taint_path = folder.File("taint.db");
  Query query = Ask("my password is x");
  query.session_key = "alice";
  policy->choose = TaintTheSession();
  Start(query);
  Records();  // the process ends
  policy->choose = FarUnlessTainted();
  EXPECT_EQ(Start(query)->started()->decision.reason, Reason::kTainted);
  query.session_key = "bob";
  Start(query);
  EXPECT_EQ(far().calls(), 1);
  EXPECT_TRUE(router().ClearTaint("alice").ok());
  Records();
  query.session_key = "alice";
  Start(query);
  EXPECT_EQ(far().calls(), 2);
  call->Cancel();
}

TEST_F(RouterTest, ATaintFileThatCannotBeReadKeepsEverySessionHome) {
  const testing::TempDir folder;
  taint_path = folder.File("taint.db");
  std::filesystem::create_directory(taint_path);  // no file at all
  policy->choose = FarUnlessTainted();
  Query query = Ask("q");
  Start(query);
  EXPECT_EQ(far().calls(), 1) << "without a session there is nothing to remember";
  call->Cancel();
  query.session_key = "alice";
  EXPECT_EQ(Start(query)->started()->decision.reason, Reason::kTainted);
  call->Cancel();
  EXPECT_TRUE(absl::IsUnavailable(router().ClearTaint("alice")));
  const absl::Status status = router().status().taint;
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr(folder.path()));
}

TEST_F(RouterTest, ClearTaintNamesWhatIsWrongWithAKey) {
  EXPECT_TRUE(absl::IsInvalidArgument(router().ClearTaint("")));
  EXPECT_TRUE(absl::IsInvalidArgument(router().ClearTaint(std::string(257, 'a'))));
  EXPECT_TRUE(router().ClearTaint(std::string(256, 'a')).ok());
  EXPECT_TRUE(router().status().taint.ok());
}

TEST_F(RouterTest, ALateTaintIsRemembered) {
  RejectDrafts();
  policy->reconsider = [](const Signals& signals) {
    Decision decision = To(signals.draft->finished ? Route::kNear : Route::kDraft);
    decision.taint = signals.draft->finished ? Taint::kNone : Taint::kSession;
    return decision;
  };
  Query query = Ask("q");
  query.session_key = "alice";
  Start(query);
  near->last().Say("draft").Finish();
  policy->choose = FarUnlessTainted();
  EXPECT_EQ(Start(query)->started()->decision.reason, Reason::kTainted);
  call->Cancel();
  const auto records = Records();
  EXPECT_TRUE(records[1].tainted);
}

TEST_F(RouterTest, ATaintThatComesWithTheWordToEscalateKeepsTheDraftHome) {
  RejectDrafts();
  policy->reconsider = [](const Signals& signals) {
    if (signals.tainted) return To(Route::kNear, Reason::kTainted);
    Decision decision = To(Route::kFar, Reason::kDraftRejected, "home");
    decision.taint = Taint::kTurn;
    return decision;
  };
  auto events = Start(Ask("q"));
  near->last().Say("draft").Finish();
  EXPECT_EQ(far().calls(), 0);
  EXPECT_EQ(events->finished()->text, "draft");
  EXPECT_EQ(events->finished()->flag_reason, "tainted");
}

TEST_F(RouterTest, StopsAreScannedAndCountedAsWhatTheyAre) {
  policy->scan = FindsCards;
  PiiSet seen = 0;
  policy->choose = [&](const Signals& signals) {
    seen = signals.prompt.findings.pii;
    return To(Route::kFar, Reason::kFixed, "home");
  };
  Query query = Ask("hello");
  query.stop = {"card 4111"};
  Start(query);
  EXPECT_EQ(seen, static_cast<PiiSet>(Pii::kCard));
  call->Cancel();
  EXPECT_EQ(Records()[0].egress_bytes, 5 + 9);
}

TEST_F(RouterTest, EachTargetKnowsASessionByANameOfItsOwn) {
  const testing::TempDir folder;
  taint_path = folder.File("taint.db");
  AddFar("other", Continuation::kExact);
  Query query = Ask("q");
  query.session_key = "alice@example.com";
  std::set<std::string> names;
  for (const char* target : {"home", "other"}) {
    policy->choose = Always(To(Route::kFar, Reason::kFixed, target));
    Start(query);
    const std::string name = far_sides[target]->last().request().session_key;
    EXPECT_EQ(name.size(), 64u);
    names.insert(name);
    call->Cancel();
    Records();  // the process ends
    Start(query);
    EXPECT_EQ(far_sides[target]->last().request().session_key, name) << "KV reuse needs the same";
    call->Cancel();
  }
  EXPECT_EQ(names.size(), 2u);
  query.session_key = "";
  Start(query);
  EXPECT_EQ(far_sides["other"]->last().request().session_key, "");
  call->Cancel();
  policy->choose = Always(To(Route::kNear));
  query.session_key = "alice@example.com";
  Start(query);
  EXPECT_EQ(near->last().request().session_key, "alice@example.com");
  call->Cancel();
}

TEST_F(RouterTest, SecretsInEarlierTurnsAndToolResultsAreSeen) {
  policy->scan = FindsCards;
  PiiSet seen = 0;
  policy->choose = [&](const Signals& signals) {
    seen = signals.prompt.findings.pii;
    return To(Route::kNear);
  };
  for (const char* role : {"system", "user", "assistant", "tool"}) {
    seen = 0;
    Query query = Ask("hello");
    query.messages.insert(query.messages.begin(), {role, "card 4111 1111"});
    Start(query);
    EXPECT_EQ(seen, static_cast<PiiSet>(Pii::kCard)) << role;
    call->Cancel();
  }
}

TEST_F(RouterTest, ATaintThatComesWhileADraftRunsKeepsItHome) {
  RejectDrafts();
  Query query = Ask("q");
  query.session_key = "alice";
  auto events = Start(query);
  near->last().Say("draft");
  // Another turn of the same session taints it meanwhile.
  policy->choose = [](const Signals&) {
    Decision decision = To(Route::kNear, Reason::kRule);
    decision.taint = Taint::kSession;
    return decision;
  };
  Start(query);
  near->call(0).Finish();
  ASSERT_TRUE(events->finished());
  EXPECT_EQ(events->finished()->text, "draft");
  EXPECT_EQ(events->finished()->flag_reason, "tainted");
  EXPECT_EQ(far().calls(), 0);
}

TEST_F(RouterTest, ALocalOnlyQueryNeverLeavesWhateverAPolicySays) {
  policy->choose = Always(To(Route::kFar, Reason::kFixed, "home"));
  Query query = Ask("q");
  query.options.local_only = true;
  auto events = Start(query);
  EXPECT_EQ(far().calls(), 0);
  EXPECT_EQ(events->failed()->status.code(), absl::StatusCode::kInternal);
}

// --- policies, creation --------------------------------------------------------------------------

TEST_F(RouterTest, CreateAndReloadRefuseWhatIsNotWhole) {
  RouterOptions options;
  EXPECT_TRUE(absl::IsInvalidArgument(Router::Create(options).status()));
  options.policy = policy;
  options.near = near;
  auto missing = Router::Create(options);
  ASSERT_TRUE(absl::IsInvalidArgument(missing.status()));
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("'home'"));
  EXPECT_TRUE(absl::IsInvalidArgument(router().Reload(nullptr, {})));
  EXPECT_TRUE(absl::IsInvalidArgument(router().Reload(policy, {})));
  EXPECT_EQ(router().status().policy_name, "scripted");
}

TEST_F(RouterTest, ReloadLetsRunningQueriesKeepTheirPolicy) {
  RejectDrafts();
  auto old_one = Start(Ask("q"));
  auto next = std::make_shared<testing::ScriptedPolicy>();
  next->settings.name = "next";
  ASSERT_TRUE(router().Reload(next, {}).ok());
  auto new_one = Start(Ask("q"));
  near->call(0).Say("draft").Finish();
  ASSERT_EQ(far().calls(), 1) << "the old policy's far side is still there for it";
  far().last().Say("far").Finish();
  EXPECT_EQ(old_one->finished()->text, "far");
  near->call(1).Say("near").Finish();
  EXPECT_EQ(new_one->finished()->text, "near");
  EXPECT_EQ(router().status().policy_name, "next");
}

TEST_F(RouterTest, AGatewayWithoutANearModelSendsEverythingFar) {
  near = nullptr;
  policy->choose = [](const Signals& signals) {
    EXPECT_FALSE(signals.near.available);
    return signals.far[0].health == Health::kUnreachable ? To(Route::kRefuse, Reason::kOffline)
                                                         : To(Route::kFar, Reason::kFixed, "home");
  };
  auto events = Start(Ask("q"));
  far().last().Say("far").Finish();
  EXPECT_EQ(events->finished()->text, "far");
  events = Start(Ask("q"));
  far().last().Fail(absl::UnavailableError("x"));
  EXPECT_TRUE(absl::IsUnavailable(events->failed()->status));
}

TEST_F(RouterTest, PacingRaisesThePriceOfMoneySpentTooFast) {
  limit_usd = 1.0;
  policy->settings.budget.pacing = Pacing::kDual;
  policy->settings.value.right_answer_usd = 10;
  double price = 0;
  policy->choose = [&](const Signals& signals) {
    price = signals.budget.pacing_price;
    return To(Route::kFar, Reason::kFixed, "home");
  };
  Start(Ask("q"));
  EXPECT_DOUBLE_EQ(price, 1);
  far().last().Say("x").Finish(FinishReason::kStop, 0.1);
  Start(Ask("q"));
  EXPECT_DOUBLE_EQ(price, 3);
  far().last().Say("x").Finish();  // a few millionths
  clock.Advance(absl::Hours(2.4));
  Start(Ask("q"));
  EXPECT_NEAR(price, 1, 1e-3) << "a tenth of the window pays for a tenth of the budget";
  call->Cancel();
}

// --- threads -------------------------------------------------------------------------------------

// Answers each call on a thread of its own, some with errors, some never; joined at the end.
class ThreadedSide : public FakeBackend {
 public:
  using FakeBackend::FakeBackend;
  ~ThreadedSide() override { Join(); }
  void Join() {
    std::vector<std::thread> threads;
    {
      absl::MutexLock hold(&mu_);
      threads.swap(threads_);
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::unique_ptr<BackendCall> Start(BackendRequest request, absl::Time deadline,
                                     std::shared_ptr<BackendSink> sink) override {
    auto handle = FakeBackend::Start(std::move(request), deadline, sink);
    absl::MutexLock hold(&mu_);
    const int number = static_cast<int>(threads_.size());
    threads_.emplace_back([sink, number] {
      BackendDelta delta;
      delta.text = "word ";
      delta.tokens = {{1, -0.5f, 1, 0.5f}};
      for (int i = 0; i < 20; ++i) sink->OnDelta(delta);
      if (number % 7 == 3) return;  // hangs
      if (number % 5 == 2) {
        sink->OnError({absl::UnavailableError("x"), ErrorKind::kUnavailable, true});
      } else {
        sink->OnFinished({FinishReason::kStop, {5, 20, 0}, 0.00001});
      }
    });
    return handle;
  }

 private:
  absl::Mutex mu_;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mu_);
};

TEST_F(RouterTest, ManyAtOnceEachEndOnce) {
  limit_usd = 0.01;
  auto near_side = std::make_shared<ThreadedSide>("near");
  auto far_side = std::make_shared<ThreadedSide>("home");
  near = near_side;
  far_sides["home"] = far_side;
  ExitAfter(10);
  policy->settings.stream.release = Release::kConfident;
  policy->accept = [](const Signals&) { return 1.0; };
  constexpr int kThreads = 8, kEach = 25;
  max_active = kThreads * kEach;
  std::vector<std::shared_ptr<EventRecorder>> all(kThreads * kEach);
  router();
  std::vector<std::thread> clients;
  for (int t = 0; t < kThreads; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        auto events = std::make_shared<EventRecorder>();
        auto running = router().Start(Ask("q"), events);
        if (i % 4 == 1) running->Cancel();
        all[t * kEach + i] = events;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  near_side->Join();
  far_side->Join();
  near_side->Join();  // near went on where far failed
  timer->Advance(absl::Minutes(5));
  near_side->Join();
  timer->Advance(absl::Minutes(5));
  for (const auto& events : all) EXPECT_TRUE(events->ended());
  EXPECT_EQ(router().status().active, 0);
  EXPECT_EQ(Records().size(), all.size());
}

}  // namespace
}  // namespace nearfar
