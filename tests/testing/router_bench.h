// A router between two fake sides, with a scripted policy, a fake clock and money in memory: what
// the tests of the router stand on. No time passes and no thread runs but by a test's word.

#ifndef NEARFAR_TESTS_TESTING_ROUTER_BENCH_H_
#define NEARFAR_TESTS_TESTING_ROUTER_BENCH_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/router.h"
#include "tests/testing/event_recorder.h"
#include "tests/testing/fake_backend.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/fake_timer.h"
#include "tests/testing/scripted_policy.h"

namespace nearfar::testing {

class NoSignals : public SignalSource {
 public:
  const char* name() const override { return "none"; }
  void Read(DeviceSignals*) const override {}
};

class RouterBench : public ::testing::Test {
 protected:
  RouterBench() {
    AddFar("home", Continuation::kExact);
    policy->settings.name = "scripted";
    policy->settings.draft.check_every_tokens = 1;
    policy->settings.draft.min_tokens = 1;
    policy->settings.draft.hold_back_tokens = 2;
  }

  FakeBackend& AddFar(const std::string& name, Continuation continuation) {
    FarConfig config;
    config.name = name;
    config.input_usd_per_mtok = 1;
    config.output_usd_per_mtok = 2;
    policy->settings.far.push_back(config);
    far_sides[name] = std::make_shared<FakeBackend>(name, continuation);
    return *far_sides[name];
  }

  // Opens the ledger and the log on first use.
  Router& router() {
    if (router_) return *router_;
    RouterOptions options;
    options.policy = policy;
    options.near = near;
    for (const auto& [name, side] : far_sides) options.far[name] = side;
    for (const auto& [name, side] : real_far_sides) options.far[name] = side;
    if (limit_usd) {
      auto opened = Ledger::Open(
          {.path = ":memory:", .limit_usd = limit_usd, .lease_usd = 0, .clock = clock.function()});
      EXPECT_TRUE(opened.ok()) << opened.status();
      ledger = *std::move(opened);
      policy->settings.budget.limit_usd = limit_usd;
    }
    auto opened = DecisionLog::Open({.path = ":memory:", .clock = clock.function()});
    EXPECT_TRUE(opened.ok()) << opened.status();
    log = *std::move(opened);
    options.ledger = ledger;
    options.log = log;
    options.taint_path = taint_path;
    options.signal_sources = {std::make_shared<NoSignals>()};
    options.clock = clock.function();
    options.uniform = [] { return 0.5; };
    options.timer = timer;
    options.max_active = max_active;
    auto created = Router::Create(std::move(options));
    EXPECT_TRUE(created.ok()) << created.status();
    router_ = *std::move(created);
    return *router_;
  }
  // Ends the router, so that all records are written.
  std::vector<LogRow> Records() {
    router_.reset();
    return *log->Read(1000);
  }

  static Query Ask(const std::string& text) {
    Query query;
    query.messages = {{"user", text}};
    return query;
  }
  std::shared_ptr<EventRecorder> Start(Query query) {
    auto events = std::make_shared<EventRecorder>();
    call = router().Start(std::move(query), events);
    return events;
  }

  static Decision To(Route route, Reason reason = Reason::kFixed, const std::string& target = "") {
    Decision decision;
    decision.route = route;
    decision.reason = reason;
    decision.target = target;
    return decision;
  }
  static std::function<Decision(const Signals&)> Always(Decision decision) {
    return [decision](const Signals&) { return decision; };
  }
  // Drafts; of a finished draft escalates to `target`.
  void RejectDrafts(const std::string& target = "home") {
    policy->choose = [target](const Signals& signals) {
      if (!signals.near.available) return To(Route::kFar, Reason::kNearFailed, target);
      for (const FarSignals& far : signals.far) {
        if (far.name == target && far.health == Health::kUnreachable) return To(Route::kNear);
      }
      return To(Route::kDraft, Reason::kCascade, target);
    };
    policy->reconsider = [target](const Signals& signals) {
      for (const FarSignals& far : signals.far) {
        if (far.name == target && far.health == Health::kUnreachable) {
          return To(signals.draft->finished ? Route::kNear : Route::kDraft);
        }
      }
      return signals.draft->finished ? To(Route::kFar, Reason::kDraftRejected, target)
                                     : To(Route::kDraft, Reason::kKeepDrafting, target);
    };
  }
  // Drafts; hands over once the draft has `tokens`.
  void ExitAfter(int tokens, const std::string& target = "home") {
    RejectDrafts(target);
    policy->reconsider = [after = policy->reconsider, tokens, target](const Signals& signals) {
      Decision decision = after(signals);
      const bool exit = !signals.draft->finished && signals.draft->tokens >= tokens;
      return decision.route == Route::kDraft && !decision.target.empty() && exit
                 ? To(Route::kFar, Reason::kEarlyExit, target)
                 : decision;
    };
  }

  FakeClock clock;
  std::shared_ptr<FakeTimer> timer = std::make_shared<FakeTimer>(&clock);
  std::shared_ptr<ScriptedPolicy> policy = std::make_shared<ScriptedPolicy>();
  std::shared_ptr<FakeBackend> near = std::make_shared<FakeBackend>("near");
  std::map<std::string, std::shared_ptr<FakeBackend>> far_sides;
  std::map<std::string, std::shared_ptr<Backend>> real_far_sides;  // in their places
  std::optional<double> limit_usd;
  std::shared_ptr<Ledger> ledger;
  std::shared_ptr<DecisionLog> log;
  std::string taint_path;  // empty = memory only
  std::shared_ptr<RouterCall> call;
  int max_active = 64;

  FakeBackend& far() { return *far_sides.at("home"); }

 private:
  std::unique_ptr<Router> router_;
};

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_ROUTER_BENCH_H_
