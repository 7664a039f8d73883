// Holds router/local_backend.h on a real engine with a tiny random model: sessions kept by key, a
// queue where sessions run out, cancellation, measured speeds, the binding.

#include "router/local_backend.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <limits>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "policies/estimators/prompt_features.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/fake_engine.h"
#include "tests/testing/tiny_model.h"

namespace nearfar {
namespace {

// Keeps what a call tells; checks the order of its events.
class Recorder : public BackendSink {
 public:
  void OnStarted(const BackendStarted& event) override {
    absl::MutexLock hold(&mu_);
    EXPECT_FALSE(started_ || ended());
    started_ = event;
  }
  void OnDelta(const BackendDelta& event) override {
    absl::MutexLock hold(&mu_);
    EXPECT_FALSE(ended());
    EXPECT_EQ(event.tokens.size(), 1u);
    text_ += event.text;
    ++tokens_;
  }
  void OnFinished(const BackendFinished& event) override {
    absl::MutexLock hold(&mu_);
    EXPECT_FALSE(ended());
    finished_ = event;
  }
  void OnError(const BackendError& event) override {
    absl::MutexLock hold(&mu_);
    EXPECT_FALSE(ended());
    error_ = event;
  }
  // Each waits for the terminal event.
  std::optional<BackendFinished> finished() {
    absl::MutexLock hold(&mu_, absl::Condition(this, &Recorder::ended));
    return finished_;
  }
  std::optional<BackendError> error() {
    absl::MutexLock hold(&mu_, absl::Condition(this, &Recorder::ended));
    return error_;
  }
  bool is_over() {
    absl::MutexLock hold(&mu_);
    return ended();
  }
  std::optional<BackendStarted> started() {
    absl::MutexLock hold(&mu_);
    return started_;
  }
  int tokens() {
    absl::MutexLock hold(&mu_);
    return tokens_;
  }
  std::string text() {
    absl::MutexLock hold(&mu_);
    return text_;
  }

 private:
  bool ended() const { return finished_ || error_; }

  absl::Mutex mu_;
  std::optional<BackendStarted> started_;
  std::optional<BackendFinished> finished_;
  std::optional<BackendError> error_;
  std::string text_;
  int tokens_ = 0;
};

class LocalBackendTest : public ::testing::Test {
 protected:
  // A file for each test: the engine of the one before may still be letting go of its own.
  static std::string ModelName() {
    return std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) + ".gguf";
  }
  void Open(int max_sessions, int kept_sessions, std::function<void(int)> observer = nullptr) {
    Open(testing::WriteTinyModel({}, ModelName()), max_sessions, kept_sessions,
         std::move(observer));
  }
  void Open(const std::string& path, int max_sessions, int kept_sessions,
            std::function<void(int)> observer = nullptr) {
    EngineOptions options;
    options.threads = 1;
    options.max_sessions = max_sessions;
    options.layer_observer = std::move(observer);
    auto opened = Engine::Open(path, options);
    std::remove(path.c_str());  // it stays mapped
    ASSERT_TRUE(opened.ok()) << opened.status();
    engine = *std::move(opened);
    backend_options.kept_sessions = kept_sessions;
    backend_options.now = clock.function();
    backend_options.steady = steady.function();
    backend = MakeLocalBackend(engine, backend_options);
  }
  std::shared_ptr<testing::FakeEngine> OpenFake(testing::FakeEngine::Options options,
                                                int kept_sessions) {
    auto fake = std::make_shared<testing::FakeEngine>(std::move(options));
    backend_options.kept_sessions = kept_sessions;
    backend_options.now = clock.function();
    backend = MakeLocalBackend(fake, backend_options);
    return fake;
  }
  static BackendRequest Ask(const std::string& text, const std::string& key = "") {
    BackendRequest request;
    request.session_key = key;
    request.messages = {{"user", text}};
    request.max_tokens = 8;
    return request;
  }
  std::shared_ptr<Recorder> Start(BackendRequest request,
                                  absl::Time deadline = absl::InfiniteFuture()) {
    auto recorder = std::make_shared<Recorder>();
    calls.push_back(backend->Start(std::move(request), deadline, recorder));
    return recorder;
  }

  testing::FakeClock clock, steady;
  LocalBackendOptions backend_options;
  std::shared_ptr<Engine> engine;
  std::shared_ptr<Backend> backend;
  std::vector<std::unique_ptr<BackendCall>> calls;
};

TEST_F(LocalBackendTest, AnswersWithStatisticsAndUsage) {
  Open(2, 1);
  auto events = Start(Ask("hello"));
  ASSERT_TRUE(events->finished());
  const std::string file = engine->info().path.substr(engine->info().path.rfind('/') + 1);
  EXPECT_EQ(events->started()->model + ".gguf", file);
  EXPECT_EQ(events->started()->fingerprint, engine->info().fingerprint);
  EXPECT_EQ(events->finished()->usage.completion_tokens, events->tokens());
  EXPECT_EQ(events->finished()->usage.prompt_tokens, *backend->CountTokens({{"user", "hello"}}));
  EXPECT_EQ(events->finished()->cost_usd, 0);
}

TEST_F(LocalBackendTest, AKeyedSessionKeepsItsPrefixAndAnUnkeyedOneIsFreed) {
  Open(3, 2);
  BackendRequest first = Ask("a longer question about something", "alice");
  auto events = Start(first);
  ASSERT_TRUE(events->finished());
  EXPECT_EQ(events->finished()->usage.cached_prompt_tokens, 0);
  events = Start(first);
  ASSERT_TRUE(events->finished());
  EXPECT_GT(events->finished()->usage.cached_prompt_tokens, 0);
  EXPECT_EQ(engine->stats().live_sessions, 1);
  ASSERT_TRUE(Start(Ask("x"))->finished());
  EXPECT_EQ(engine->stats().live_sessions, 1);
  for (const char* key : {"b", "c", "d"}) ASSERT_TRUE(Start(Ask("x", key))->finished());
  EXPECT_EQ(engine->stats().live_sessions, 2) << "kept_sessions bounds what is kept";
}

TEST_F(LocalBackendTest, IdleSessionsMakeRoom) {
  Open(2, 2);
  for (const char* key : {"a", "b", "c", "d"}) ASSERT_TRUE(Start(Ask("x", key))->finished()) << key;
}

TEST_F(LocalBackendTest, MoreCallsThanSessionsWaitTheirTurn) {
  Open(2, 0);
  std::vector<std::shared_ptr<Recorder>> all;
  for (int i = 0; i < 10; ++i) all.push_back(Start(Ask("question " + std::to_string(i))));
  for (const auto& events : all) EXPECT_TRUE(events->finished());
  EXPECT_EQ(engine->stats().live_sessions, 0);
}

TEST_F(LocalBackendTest, TheAnswerContinuesFromAPrefix) {
  Open(2, 0);
  BackendRequest whole = Ask("hello");
  whole.max_tokens = 12;
  auto events = Start(whole);
  ASSERT_TRUE(events->finished());
  const std::string text = events->text();
  BackendRequest rest = Ask("hello");
  rest.assistant_prefix = "abc";
  events = Start(rest);
  ASSERT_TRUE(events->finished());
  EXPECT_GT(events->finished()->usage.prompt_tokens, *backend->CountTokens(rest.messages));
}

TEST_F(LocalBackendTest, BadAndTooLongPromptsAreErrorsOfTheirKind) {
  Open(2, 0);
  BackendRequest bad = Ask("x");
  bad.messages[0].role = "robot";
  EXPECT_EQ(Start(bad)->error()->kind, ErrorKind::kBadRequest);
  EXPECT_EQ(Start(Ask(std::string(20000, 'x') + "y z"))->error()->kind, ErrorKind::kContextTooLong);
  EXPECT_EQ(engine->stats().live_sessions, 0);
}

TEST_F(LocalBackendTest, ATextFarBeyondTheContextIsNotEvenTokenized) {
  Open(2, 0);
  const ModelInfo& info = engine->info();
  const int64_t bytes = int64_t{info.longest_token_bytes} * info.context_tokens + 1;
  EXPECT_TRUE(CannotFit(bytes, info));
  EXPECT_FALSE(CannotFit(bytes - 1, info));
  BackendRequest request = Ask("continue");
  request.assistant_prefix = std::string(bytes, ' ');
  const std::optional<BackendError> error = Start(request)->error();
  EXPECT_EQ(error->kind, ErrorKind::kContextTooLong);
  EXPECT_NE(error->status.message().find("bytes"), absl::string_view::npos) << error->status;
}

// Some vocabularies have tokens of so many spaces: a screen of indentation is not refused unread.
TEST_F(LocalBackendTest, ATextOfTheLongestTokensIsTokenized) {
  ModelInfo info;
  info.context_tokens = 512;
  info.longest_token_bytes = 128;
  EXPECT_FALSE(CannotFit(100 * 512, info));
}

// Holds the engine in front of a layer until it is let go.
class Gate {
 public:
  void Wait() {
    absl::MutexLock hold(&mu_);
    ++waiting_;
    mu_.Await(absl::Condition(&open_));
    --waiting_;
  }
  void AwaitWaiting() {
    absl::MutexLock hold(&mu_);
    mu_.Await(absl::Condition(
        +[](int* waiting) { return *waiting > 0; }, &waiting_));
  }
  void Open() {
    absl::MutexLock hold(&mu_);
    open_ = true;
  }

 private:
  absl::Mutex mu_;
  bool open_ = false;
  int waiting_ = 0;
};

TEST_F(LocalBackendTest, ACancelledCallFreesItsSessionBeforeTheNextLayer) {
  Gate gate;
  Open(1, 1, [&](int) { gate.Wait(); });
  auto events = Start(Ask("hello", "alice"));
  gate.AwaitWaiting();  // in front of the first layer
  calls[0]->Cancel();
  EXPECT_EQ(engine->stats().live_sessions, 0) << "the slot is free at once";
  gate.Open();
  ASSERT_TRUE(events->error());
  EXPECT_EQ(events->error()->kind, ErrorKind::kCancelled);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.live_kv_bytes, 0);
  EXPECT_LE(stats.layers_computed, 1);
  EXPECT_EQ(stats.generations_cancelled, 1);
}

TEST_F(LocalBackendTest, AWaitingCallMayBeCancelledAndDestroyed) {
  Gate gate;
  Open(1, 0, [&](int) { gate.Wait(); });
  auto first = Start(Ask("one"));
  gate.AwaitWaiting();
  auto second = Start(Ask("two"));
  auto third = Start(Ask("three"));
  EXPECT_FALSE(second->is_over());
  calls[1]->Cancel();
  EXPECT_EQ(second->error()->kind, ErrorKind::kCancelled);
  calls[2].reset();
  EXPECT_EQ(third->error()->kind, ErrorKind::kCancelled);
  gate.Open();
  EXPECT_TRUE(first->finished());
}

TEST_F(LocalBackendTest, OverlappingCallsOfOneKeyLeaveTheSessionThatKnowsMore) {
  Gate gate;
  Open(3, 2, [&](int) { gate.Wait(); });
  BackendRequest longer = Ask("a longer question about something", "alice");
  auto first = Start(longer);
  auto second = Start(Ask("x", "alice"));
  gate.Open();
  ASSERT_TRUE(first->finished());
  ASSERT_TRUE(second->finished());
  EXPECT_EQ(engine->stats().live_sessions, 1);
  auto again = Start(longer);
  ASSERT_TRUE(again->finished());
  EXPECT_EQ(again->finished()->usage.cached_prompt_tokens,
            again->finished()->usage.prompt_tokens - 1);
}

TEST_F(LocalBackendTest, ACallWhoseDeadlinePassesWhileItWaitsIsNotBegun) {
  Gate gate;
  Open(1, 0, [&](int) { gate.Wait(); });
  auto first = Start(Ask("one"));
  gate.AwaitWaiting();
  auto late = Start(Ask("two"), clock.Now() + absl::Seconds(1));
  auto patient = Start(Ask("three"), clock.Now() + absl::Seconds(3));
  clock.Advance(absl::Seconds(2));
  gate.Open();
  ASSERT_TRUE(late->error());
  EXPECT_EQ(late->error()->kind, ErrorKind::kDeadline);
  EXPECT_FALSE(late->started());
  EXPECT_TRUE(first->finished());
  EXPECT_TRUE(patient->finished());
}

TEST_F(LocalBackendTest, TheQueueIsBounded) {
  Gate gate;
  backend_options.max_waiting = 1;
  Open(1, 0, [&](int) { gate.Wait(); });
  auto first = Start(Ask("one"));
  gate.AwaitWaiting();
  auto waits = Start(Ask("two"));
  auto refused = Start(Ask("three"));
  EXPECT_EQ(refused->error()->kind, ErrorKind::kUnavailable);
  gate.Open();
  EXPECT_TRUE(first->finished());
  EXPECT_TRUE(waits->finished());
}

TEST_F(LocalBackendTest, AnEngineThatFailsAgainAndAgainIsLeftAloneForAWhile) {
  testing::GgufWriter writer = testing::TinyModel({});
  ASSERT_TRUE(writer.Remove("output_norm.weight"));
  writer.AddTensor("output_norm.weight", {64}, DType::kF32,
                   std::vector<float>(64, std::numeric_limits<float>::quiet_NaN()));
  Open(testing::WriteTestFile(ModelName(), writer.Finish()), 2, 0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(backend->health(), Health::kHealthy) << i;
    EXPECT_EQ(Start(Ask("x"))->error()->kind, ErrorKind::kInternal);
  }
  EXPECT_EQ(backend->health(), Health::kUnreachable);
  clock.Advance(absl::Hours(1));
  EXPECT_EQ(backend->health(), Health::kUnreachable) << "the wall clock was set";
  clock.Advance(-absl::Hours(2));
  steady.Advance(absl::Minutes(1));
  EXPECT_EQ(backend->health(), Health::kHealthy) << "it is tried again";
  EXPECT_EQ(Start(Ask("x"))->error()->kind, ErrorKind::kInternal);
  EXPECT_EQ(backend->health(), Health::kUnreachable) << "one failure more is enough";
}

TEST_F(LocalBackendTest, MemoryThatRunsOutDoesNotMakeItUnreachable) {
  const auto fake = OpenFake({}, 0);
  for (const absl::Status& status :
       {absl::ResourceExhaustedError("no memory"), absl::UnavailableError("not now")}) {
    for (int i = 0; i < 4; ++i) {
      auto events = Start(Ask("x"));
      fake->End(StopReason::kError, status);
      EXPECT_EQ(events->error()->kind, ErrorKind::kUnavailable);
      EXPECT_EQ(backend->health(), Health::kHealthy) << status << i;
    }
  }
  for (int i = 0; i < 3; ++i) {
    Start(Ask("x"));
    fake->End(StopReason::kError, absl::DataLossError("not a number"));
  }
  EXPECT_EQ(backend->health(), Health::kUnreachable);
}

// The only session is idle, and one caller is about to free it for its own when another one comes.
TEST_F(LocalBackendTest, ACallThatFindsTheSessionBeingFreedWaitsForIt) {
  const auto gate = std::make_shared<Gate>();
  const auto fake = OpenFake({.before_free = [gate] { gate->Wait(); }}, 1);
  auto first = Start(Ask("x", "a"));
  fake->End(StopReason::kEndOfText);
  ASSERT_TRUE(first->finished());
  const auto ask = [&](const char* key, std::shared_ptr<Recorder> events) {
    return backend->Start(Ask("x", key), absl::InfiniteFuture(), std::move(events));
  };
  auto second = std::make_shared<Recorder>(), third = std::make_shared<Recorder>();
  std::unique_ptr<BackendCall> second_call, third_call;
  std::thread frees([&] { second_call = ask("b", second); });
  gate->AwaitWaiting();
  std::thread finds_none([&] { third_call = ask("c", third); });
  fake->AwaitRefused(2);
  gate->Open();
  frees.join();
  finds_none.join();
  ASSERT_FALSE(third->is_over()) << "it waits, or runs";
  for (int i = 0; i < 2; ++i) {
    fake->AwaitRunning(1);
    fake->End(StopReason::kEndOfText);
  }
  EXPECT_TRUE(second->finished());
  EXPECT_TRUE(third->finished());
}

// The same where the session that is being freed is a cancelled call's.
TEST_F(LocalBackendTest, AQueuedCallWaitsForTheSessionOfACancelledOne) {
  const auto gate = std::make_shared<Gate>();
  const auto fake = OpenFake({.before_free = [gate] { gate->Wait(); }}, 0);
  auto first = Start(Ask("x"));
  auto queued = Start(Ask("y"));
  std::thread cancels([&] { calls[0]->Cancel(); });
  gate->AwaitWaiting();
  std::thread engine_thread([&] { fake->End(StopReason::kCancelled); });
  fake->AwaitRefused(2);
  gate->Open();
  cancels.join();
  engine_thread.join();
  EXPECT_EQ(first->error()->kind, ErrorKind::kCancelled);
  ASSERT_FALSE(queued->is_over()) << "it runs";
  fake->AwaitRunning(1);
  fake->End(StopReason::kEndOfText);
  EXPECT_TRUE(queued->finished());
}

TEST_F(LocalBackendTest, SpeedsAreMeasured) {
  Open(2, 0);
  EXPECT_FALSE(backend->speed().decode_tokens_per_second);
  BackendRequest request = Ask("a longer question about something");
  request.max_tokens = 32;
  request.sampling.temperature = 1;
  for (int i = 0; i < 3; ++i) {
    request.sampling.seed = i;
    ASSERT_TRUE(Start(request)->finished());
  }
  EXPECT_GT(*backend->speed().prefill_tokens_per_second, 0);
  EXPECT_GT(*backend->speed().decode_tokens_per_second, 0);
}

TEST_F(LocalBackendTest, TheBindingNamesTheModel) {
  Open(2, 0);
  const BackendDescription description = backend->Describe();
  EXPECT_EQ(description.name, "near");
  EXPECT_EQ(description.binding.fingerprint, engine->info().fingerprint);
  EXPECT_EQ(description.binding.quantization, engine->info().quantization);
  EXPECT_EQ(description.binding.template_hash, engine->info().template_hash);
  EXPECT_EQ(description.binding.feature_version, kFeatureVersion);
  EXPECT_EQ(description.capabilities.continuation, Continuation::kExact);
  EXPECT_EQ(description.capabilities.context_tokens, engine->info().context_tokens);
}

}  // namespace
}  // namespace nearfar
