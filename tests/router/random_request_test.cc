// Promise (b) by chance: policies that decide at random, in every release mode, between sides that
// say, end, fail, end twice, hang and speak late at random, with cancellations and deadlines at
// random moments. Every request gets exactly one end, streamed text equals final text
// (EventRecorder), nothing stays active, no timer pends, and no money is reserved for a call that
// has ended.

#include <gtest/gtest.h>

#include <random>

#include "tests/testing/router_bench.h"

namespace nearfar {
namespace {

using testing::EventRecorder;
using testing::FakeBackend;
using testing::FakeCall;

// A ledger that knows how much is reserved and not settled.
class CountingLedger : public Ledger {
 public:
  explicit CountingLedger(std::unique_ptr<Ledger> ledger) : ledger_(std::move(ledger)) {}
  absl::StatusOr<int64_t> Reserve(double bound_usd, const std::string& target) override {
    absl::StatusOr<int64_t> id = ledger_->Reserve(bound_usd, target);
    open += id.ok();
    return id;
  }
  absl::Status Settle(int64_t reservation, double bill_usd) override {
    --open;
    return ledger_->Settle(reservation, bill_usd);
  }
  double SpentUsd() const override { return ledger_->SpentUsd(); }
  std::optional<double> limit_usd() const override { return ledger_->limit_usd(); }
  absl::Time window_start() const override { return ledger_->window_start(); }
  absl::Status SetLimit(std::optional<double>, absl::Duration, double) override {
    return absl::OkStatus();
  }
  int open = 0;

 private:
  const std::unique_ptr<Ledger> ledger_;
};

class RandomRequest : public testing::RouterBench {
 protected:
  RandomRequest() {
    AddFar("told", Continuation::kInstructed);
    AddFar("plain", Continuation::kNone);
    LedgerOptions options;
    options.path = ":memory:";
    options.limit_usd = 0.5;
    options.clock = clock.function();
    auto opened = Ledger::Open(options);
    EXPECT_TRUE(opened.ok()) << opened.status();
    counting = std::make_shared<CountingLedger>(*std::move(opened));
    ledger = counting;
  }
  int Below(int n) { return static_cast<int>(random() % n); }
  bool OneIn(int n) { return Below(n) == 0; }

  Decision AnyDecision() {
    static const char* const kTargets[] = {"home", "told", "plain", "home", "absent"};
    Decision decision =
        To(static_cast<Route>(Below(4)), static_cast<Reason>(Below(20)), kTargets[Below(5)]);
    if (decision.route == Route::kRefuse && !OneIn(4)) decision.route = Route::kDraft;
    decision.flagged = OneIn(5);
    decision.max_tokens = OneIn(3) ? 1 + Below(50) : 0;
    decision.max_cost_usd = OneIn(4) ? 1e-4 : 0;
    if (OneIn(2)) decision.confidence = 0.5;
    return decision;
  }
  void SetAnyPolicy() {
    policy->settings.stream.release = static_cast<Release>(Below(3));
    policy->settings.stream.on_handover = static_cast<OnHandover>(Below(2));
    policy->settings.draft.hold_back_tokens = Below(5);
    policy->settings.draft.check_every_tokens = 1 + Below(3);
    policy->choose = [this](const Signals&) { return AnyDecision(); };
    policy->reconsider = [this](const Signals& signals) {
      Decision decision = AnyDecision();
      if (!signals.draft->finished && !OneIn(4)) decision.route = Route::kDraft;
      return decision;
    };
    policy->accept = [this](const Signals&) -> std::optional<double> {
      if (OneIn(3)) return std::nullopt;
      return OneIn(2) ? 1.0 : 0.2;
    };
  }
  // One random thing that a side may do, in or out of turn.
  void Step(FakeCall* call) {
    static const char* const kTexts[] = {" word",     "wo",    "rd",      ".",
                                         "\n```py\n", "```\n", "{\"a\":", "\xE4\xBD\xA0",
                                         "\xE2\x82",  "\xAC",  "\xff",    " ",
                                         ""};
    switch (Below(12)) {
      case 0:
        call->Finish(static_cast<FinishReason>(Below(2)),
                     OneIn(2) ? std::optional<double>(1e-6) : std::nullopt);
        break;
      case 1:
        call->Fail(absl::UnavailableError("x"), static_cast<ErrorKind>(1 + Below(12)), OneIn(2));
        break;
      case 2:  // it repeats what it was given
        call->Say(call->request().assistant_prefix.substr(0, Below(40)));
        break;
      default:
        call->Say(kTexts[Below(13)], Below(3));
    }
  }
  // Keeps the calls of the running request, in the order of their start.
  void Watch() {
    near->script = [this](FakeCall& call) { calls.push_back(&call); };
    for (auto& [name, side] : far_sides) side->script = near->script;
  }

  std::shared_ptr<CountingLedger> counting;
  std::mt19937_64 random;
  std::vector<FakeCall*> calls;
};

TEST_F(RandomRequest, AlwaysEndsOnce) {
  int finished = 0, failed = 0, handovers = 0;
  Watch();
  for (uint64_t seed = 0; seed < 10000 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    random.seed(seed);
    SetAnyPolicy();
    near->cancel_answers = OneIn(2);
    Query query = Ask("question");
    query.session_key = OneIn(2) ? "session" : "";
    query.format = OneIn(4) ? ResponseFormat::kJson : ResponseFormat::kText;
    query.options.allow_retract = OneIn(2);
    query.options.local_only = OneIn(8);
    if (OneIn(6)) query.options.max_cost_usd = 1e-5;
    query.deadline = clock.Now() + absl::Seconds(60);
    calls.clear();
    auto events = Start(query);
    for (int step = 0; step < 60 && !events->ended(); ++step) {
      // Mostly the call that runs, at times one that was given up or has ended.
      if (!calls.empty()) Step(OneIn(4) ? calls[Below(calls.size())] : calls.back());
      if (OneIn(40)) timer->Advance(absl::Seconds(Below(20)));
      if (OneIn(60)) call->Cancel();
    }
    if (!events->ended()) timer->Advance(absl::Minutes(2));
    ASSERT_TRUE(events->ended());
    finished += events->finished().has_value();
    failed += events->failed().has_value();
    handovers += events->finished() && events->finished()->near_usage.completion_tokens > 0 &&
                 events->finished()->source != "near";
    // What is said after the end is not heard, and does no harm.
    for (FakeCall* late : calls) {
      Step(late);
      late->Fail(absl::UnavailableError("end"), ErrorKind::kUnavailable, false);
    }
    ASSERT_EQ(router().status().active, 0);
    ASSERT_EQ(timer->pending(), 0);
    ASSERT_EQ(counting->open, 0) << "money stays reserved";
    ASSERT_LE(counting->SpentUsd(), 0.5);
  }
  EXPECT_GT(finished, 300);
  EXPECT_GT(failed, 300);
  EXPECT_GT(handovers, 50);
}

// With real policies, as a policy file would give them.
class RealPolicy : public testing::RouterBench {
 protected:
  // A router with this policy over the bench's fake sides.
  std::unique_ptr<Router> Make(PolicyConfig config) {
    FarConfig target;
    target.name = "home";
    target.target = "unix:/nowhere";
    config.far = {target};
    auto made = MakePolicy(config);
    EXPECT_TRUE(made.ok()) << made.status();
    RouterOptions options;
    options.policy = *made;
    options.near = near;
    options.far = {{"home", far_sides["home"]}};
    options.signal_sources = {std::make_shared<testing::NoSignals>()};
    options.clock = clock.function();
    options.timer = timer;
    auto created = Router::Create(std::move(options));
    EXPECT_TRUE(created.ok()) << created.status();
    return *std::move(created);
  }
  static std::shared_ptr<EventRecorder> Run(Router* router, Query query) {
    auto events = std::make_shared<EventRecorder>();
    router->Start(std::move(query), events);
    return events;
  }
};

TEST_F(RealPolicy, CloudDeadMeansNearAnswersFlagged) {
  PolicyConfig config;
  config.choose.route = Route::kFar;
  auto router = Make(config);
  auto events = Run(router.get(), Ask("q"));
  far().last().Fail(absl::UnavailableError("no route"));
  near->last().Say("near").Finish();
  EXPECT_EQ(events->finished()->flag_reason, "far_failed");
  far().state = Health::kBreakerOpen;
  events = Run(router.get(), Ask("q"));
  EXPECT_EQ(far().calls(), 1);
  near->last().Say("near").Finish();
  EXPECT_EQ(events->finished()->flag_reason, "breaker_open");
}

TEST_F(RealPolicy, OfflineMayMeanRefusal) {
  PolicyConfig config;
  config.choose.route = Route::kFar;
  config.offline = OfflineAnswer::kRefuse;
  auto router = Make(config);
  auto events = Run(router.get(), Ask("q"));
  far().last().Fail(absl::UnavailableError("no route"));
  EXPECT_TRUE(absl::IsUnavailable(events->failed()->status));
  EXPECT_EQ(near->calls(), 0);
}

TEST_F(RealPolicy, ASecretTaintsItsSession) {
  PolicyConfig config;
  config.choose.route = Route::kFar;
  RuleConfig rule;
  rule.name = "keep-home";
  rule.when.kind = RuleCondition::Kind::kKeyword;
  rule.when.words = {"password"};
  rule.route = Route::kNear;
  rule.taint = Taint::kSession;
  config.rules = {rule};
  auto router = Make(config);
  Query query = Ask("my password is hunter2");
  query.session_key = "alice";
  auto events = Run(router.get(), query);
  near->last().Say("ok").Finish();
  EXPECT_EQ(events->finished()->decision.route, Route::kNear);
  query = Ask("what did I say?");
  query.session_key = "alice";
  events = Run(router.get(), query);
  near->last().Say("no").Finish();
  EXPECT_EQ(events->finished()->decision.reason, Reason::kTainted);
  EXPECT_EQ(far().calls(), 0);
  // Without a key the earlier turns themselves keep it home.
  query.session_key = "";
  query.messages = {{"user", "my password is hunter2"}, {"assistant", "ok"}, {"user", "thanks"}};
  events = Run(router.get(), query);
  near->last().Say("welcome").Finish();
  EXPECT_EQ(far().calls(), 0);
}

}  // namespace
}  // namespace nearfar
