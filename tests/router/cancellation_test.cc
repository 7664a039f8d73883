// A client that goes away frees its slot, its KV cache and the upstream call before the next layer
// is computed: a real engine behind the router, counters and events, no sleeping. Held for
// router.h.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "router/local_backend.h"
#include "tests/testing/router_bench.h"
#include "tests/testing/tiny_model.h"

namespace nearfar {
namespace {

using testing::EventRecorder;

class CancellationTest : public testing::RouterBench {
 protected:
  // Calls let go of the engine a moment after their last event. Its thread is joined here, or it
  // would run while the process is torn down.
  void TearDown() override {
    real_router.reset();
    while (engine.use_count() > 1) std::this_thread::yield();
    engine.reset();
  }
  // A file for each test: the engine of the one before may still be letting go of its own.
  static std::string ModelName() {
    return std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) + ".gguf";
  }
  // A router over a real engine; `observer` runs on the engine's thread before each layer.
  void Open(std::function<void(int)> observer, int max_sessions = 2) {
    const std::string path = testing::WriteTinyModel({}, ModelName());
    EngineOptions options;
    options.threads = 1;
    options.max_sessions = max_sessions;
    options.prefill_chunk = 8;
    options.layer_observer = std::move(observer);
    auto opened = Engine::Open(path, options);
    std::remove(path.c_str());  // it stays mapped
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine = *std::move(opened);
    RouterOptions router_options;
    router_options.policy = policy;
    router_options.near = MakeLocalBackend(engine);
    for (const auto& [name, side] : far_sides) router_options.far[name] = side;
    router_options.signal_sources = {std::make_shared<testing::NoSignals>()};
    router_options.clock = clock.function();
    router_options.timer = timer;
    auto created = Router::Create(std::move(router_options));
    ASSERT_TRUE(created.ok()) << created.status();
    real_router = *std::move(created);
  }
  static Query Long(int max_tokens) {
    Query query = Ask("one two three four five six seven eight nine ten eleven twelve thirteen");
    query.max_tokens = max_tokens;
    query.sampling.temperature = 1;  // so that a random model does not stop at once
    query.session_key = "session";
    return query;
  }

  std::shared_ptr<Engine> engine;
  std::unique_ptr<Router> real_router;
};

TEST_F(CancellationTest, DuringThePrefillNoFurtherLayerIsComputed) {
  std::shared_ptr<RouterCall> running;
  absl::Mutex mu;
  std::atomic<bool> cancelled{false};
  Open([&](int) {
    if (cancelled) return;
    absl::MutexLock hold(&mu);
    mu.Await(absl::Condition(
        +[](std::shared_ptr<RouterCall>* call) { return *call != nullptr; }, &running));
    running->Cancel();  // in front of the first layer
    cancelled = true;
  });
  auto events = std::make_shared<EventRecorder>();
  auto started = real_router->Start(Long(64), events);
  {
    absl::MutexLock hold(&mu);
    running = started;
  }
  events->WaitForEnd();
  EXPECT_TRUE(absl::IsCancelled(events->failed()->status));
  EXPECT_EQ(engine->stats().live_sessions, 0);
  // Another generation's end proves that the engine's thread has left the cancelled one.
  auto after = std::make_shared<EventRecorder>();
  const int64_t computed = engine->stats().layers_computed;
  EXPECT_LE(computed, 1) << "at most the layer in work";
  real_router->Start(Long(1), after);
  after->WaitForEnd();
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.generations_cancelled, 1);
  EXPECT_EQ(stats.live_generations, 0);
}

TEST_F(CancellationTest, DuringTheDecodeTheSlotAndTheCacheAreFree) {
  std::shared_ptr<RouterCall> running;
  absl::Mutex mu;
  // The engine waits until Start has returned, so that every delta comes on the engine's thread.
  Open([&](int) {
    absl::MutexLock hold(&mu);
    mu.Await(absl::Condition(
        +[](std::shared_ptr<RouterCall>* call) { return *call != nullptr; }, &running));
  });
  auto events = std::make_shared<EventRecorder>();
  std::atomic<int64_t> layers_at_cancel{0};
  events->on_delta = [&](const std::string&) {  // between two tokens
    if (layers_at_cancel > 0) return;
    layers_at_cancel = engine->stats().layers_computed;
    running->Cancel();
  };
  auto started = real_router->Start(Long(400), events);
  {
    absl::MutexLock hold(&mu);
    running = started;
  }
  events->WaitForEnd();
  EXPECT_TRUE(absl::IsCancelled(events->failed()->status));
  EXPECT_EQ(engine->stats().live_sessions, 0);
  EXPECT_EQ(engine->stats().layers_computed, layers_at_cancel) << "not one layer more";
  auto after = std::make_shared<EventRecorder>();
  Query next = Long(1);
  next.session_key = "";
  real_router->Start(next, after);
  after->WaitForEnd();
  EXPECT_EQ(engine->stats().generations_cancelled, 1);
  EXPECT_EQ(engine->stats().live_kv_bytes, 0) << "nothing of either is left";
}

TEST_F(CancellationTest, AnEarlyExitFreesTheSlotBeforeTheFarCallStarts) {
  ExitAfter(2);
  std::atomic<int> live_at_far_start{-1};
  far().script = [&](testing::FakeCall& call) {
    live_at_far_start = engine->stats().live_sessions;
    call.Say("far").Finish();
  };
  Open(nullptr);
  auto events = std::make_shared<EventRecorder>();
  real_router->Start(Long(400), events);
  events->WaitForEnd();
  ASSERT_TRUE(events->finished());
  ASSERT_EQ(far().calls(), 1);
  EXPECT_EQ(live_at_far_start, 0);
  EXPECT_EQ(events->finished()->text, "far");
}

TEST_F(CancellationTest, TheUpstreamCallIsCancelledToo) {
  policy->choose = Always(To(Route::kFar, Reason::kFixed, "home"));
  Open(nullptr);
  auto events = std::make_shared<EventRecorder>();
  auto running = real_router->Start(Long(4), events);
  far().last().Say("a");
  running->Cancel();
  EXPECT_TRUE(far().last().cancelled());
  EXPECT_TRUE(absl::IsCancelled(events->failed()->status));
}

TEST_F(CancellationTest, TheRoutersEndFreesEverything) {
  Open(nullptr, 4);
  std::vector<std::shared_ptr<EventRecorder>> all;
  for (int i = 0; i < 12; ++i) {
    all.push_back(std::make_shared<EventRecorder>());
    Query query = Long(400);
    query.session_key = "";
    real_router->Start(query, all.back());
  }
  real_router.reset();
  for (const auto& events : all) EXPECT_TRUE(events->ended());
  EXPECT_EQ(engine->stats().live_sessions, 0);
}

// Clients that come and go on many threads, for the thread sanitizer: every one gets its one end,
// and nothing is left.
TEST_F(CancellationTest, ManyClientsComeAndGo) {
  ExitAfter(6);
  far().script = [](testing::FakeCall& call) { call.Say("far").Finish(); };
  policy->settings.stream.release = Release::kConfident;
  policy->accept = [](const Signals&) { return 1.0; };
  Open(nullptr, 3);
  constexpr int kThreads = 6, kEach = 8;
  std::vector<std::shared_ptr<EventRecorder>> all(kThreads * kEach);
  std::vector<std::thread> clients;
  for (int t = 0; t < kThreads; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        auto events = std::make_shared<EventRecorder>();
        all[t * kEach + i] = events;
        Query query = Long(12);
        query.session_key = t % 2 ? "shared" : "";
        auto running = real_router->Start(query, events);
        if (i % 3 == 0) running->Cancel();
        if (i % 3 == 1) events->WaitForEnd();
      }
    });
  }
  for (std::thread& client : clients) client.join();
  for (const auto& events : all) events->WaitForEnd();
  EXPECT_EQ(real_router->status().active, 0);
  real_router.reset();
}

}  // namespace
}  // namespace nearfar
