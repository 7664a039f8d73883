// What the scheduler thread promises: cancellation before the next layer, nothing kept of a session
// that is gone, turns for everybody, the same tokens as alone, one OnDone whatever happens. Proved
// by counters and events, never by waiting for a while.

#include "local_engine/scheduler.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/engine.h"
#include "tests/testing/recording_sink.h"
#include "tests/testing/tiny_engine.h"

namespace nearfar {
namespace {

using ::nearfar::testing::GenerateAlone;
using ::nearfar::testing::OpenTinyEngine;
using ::nearfar::testing::RecordingSink;
using ::nearfar::testing::RunGeneration;
using ::nearfar::testing::SomePrompt;

constexpr int kLayers = 6;

// An engine whose layers can be watched: set `on_layer` while no generation runs.
struct Watched {
  explicit Watched(EngineOptions options = {}) {
    options.layer_observer = [this](int layer) {
      if (on_layer) on_layer(layer);
    };
    testing::TinyModelOptions model = testing::WanderingModel();
    model.layers = kLayers;
    engine = OpenTinyEngine(options, model);
  }

  std::function<void(int layer)> on_layer;
  std::shared_ptr<Engine> engine;
};

// ---- Cancellation.

TEST(Cancel, InsideAPrefillStopsBeforeTheNextLayer) {
  Watched watched({.prefill_chunk = 64});
  const auto session = watched.engine->NewSession().value();
  watched.on_layer = [&](int layer) {
    if (layer == 2) session->Cancel();
  };
  const auto sink = RunGeneration(*session, {.prompt = SomePrompt(50)});
  EXPECT_EQ(sink->result.reason, StopReason::kCancelled);
  EXPECT_EQ(sink->prefills, 0);
  EXPECT_TRUE(sink->tokens.empty());
  const EngineStats stats = watched.engine->stats();
  EXPECT_EQ(stats.layers_computed, 2);
  EXPECT_EQ(stats.prefill_tokens, 0);
  EXPECT_EQ(stats.generations_cancelled, 1);
  EXPECT_EQ(stats.generations_finished, 0);
  EXPECT_EQ(stats.live_generations, 0);
  EXPECT_EQ(session->cached_tokens(), 0);
}

TEST(Cancel, InALaterChunkKeepsTheChunksBefore) {
  Watched watched({.prefill_chunk = 16});
  const auto session = watched.engine->NewSession().value();
  int passes = 0;
  watched.on_layer = [&](int layer) {
    passes += layer == 0 ? 1 : 0;
    if (passes == 3 && layer == 1) session->Cancel();
  };
  RunGeneration(*session, {.prompt = SomePrompt(100)});
  EXPECT_EQ(watched.engine->stats().layers_computed, 2 * kLayers + 1);
  EXPECT_EQ(session->cached_tokens(), 32);
  // What was computed serves the next try.
  passes = 10;
  const auto again = RunGeneration(*session, {.prompt = SomePrompt(100), .max_tokens = 8});
  EXPECT_EQ(again->result.reused_tokens, 32);
  EXPECT_EQ(again->ids(),
            GenerateAlone(*watched.engine, {.prompt = SomePrompt(100), .max_tokens = 8}));
}

TEST(Cancel, InsideADecodeStopsBeforeTheNextLayer) {
  Watched watched;
  const auto session = watched.engine->NewSession().value();
  int passes = 0;
  watched.on_layer = [&](int layer) {
    passes += layer == 0 ? 1 : 0;
    if (passes == 5 && layer == 3) session->Cancel();
  };
  const auto sink = RunGeneration(*session, {.prompt = SomePrompt(10), .max_tokens = 100});
  EXPECT_EQ(sink->result.reason, StopReason::kCancelled);
  EXPECT_EQ(sink->result.completion_tokens, 4);  // one of each whole pass
  EXPECT_EQ(watched.engine->stats().layers_computed, 4 * kLayers + 3);
}

TEST(Cancel, FromATokenComputesNoFurtherLayer) {
  Watched watched;
  const auto session = watched.engine->NewSession().value();
  auto sink = std::make_shared<RecordingSink>();
  int64_t layers_then = -1;
  sink->on_token = [&](const Token&) {
    layers_then = watched.engine->stats().layers_computed;
    session->Cancel();
  };
  ASSERT_TRUE(session->Generate({.prompt = SomePrompt(10), .max_tokens = 100}, sink).ok());
  sink->Wait();
  EXPECT_EQ(sink->tokens.size(), 1u);
  EXPECT_EQ(watched.engine->stats().layers_computed, layers_then);
}

TEST(Cancel, FromOnPrefillDeliversNoToken) {
  Watched watched;
  const auto session = watched.engine->NewSession().value();
  auto sink = std::make_shared<RecordingSink>();
  sink->on_prefill = [&](int, int) { session->Cancel(); };
  ASSERT_TRUE(session->Generate({.prompt = SomePrompt(10), .max_tokens = 100}, sink).ok());
  sink->Wait();
  EXPECT_EQ(sink->result.reason, StopReason::kCancelled);
  EXPECT_TRUE(sink->tokens.empty());
}

TEST(Cancel, OfOneLeavesTheOthersTokensAsTheyAre) {
  Watched watched;
  const GenerateRequest request = {.prompt = SomePrompt(10), .max_tokens = 40};
  const std::vector<int32_t> alone = GenerateAlone(*watched.engine, request);
  const auto kept = watched.engine->NewSession().value();
  const auto cancelled = watched.engine->NewSession().value();
  auto kept_sink = std::make_shared<RecordingSink>();
  auto cancelled_sink = std::make_shared<RecordingSink>();
  // Both are in the pass when one goes, in the middle of its layers.
  watched.on_layer = [&](int layer) {
    if (layer == 3 && cancelled_sink->tokens.size() >= 6) cancelled->Cancel();
  };
  int64_t kept_tokens_then = -1;
  cancelled_sink->on_done = [&](const GenerateResult&) {
    kept_tokens_then = static_cast<int64_t>(kept_sink->tokens.size());
  };
  kept_sink->on_prefill = [&](int, int) {
    ASSERT_TRUE(
        cancelled->Generate({.prompt = SomePrompt(3, 53), .max_tokens = 400}, cancelled_sink).ok());
  };
  ASSERT_TRUE(kept->Generate(request, kept_sink).ok());
  kept_sink->Wait();
  cancelled_sink->Wait();
  EXPECT_EQ(cancelled_sink->result.reason, StopReason::kCancelled);
  EXPECT_EQ(kept_sink->ids(), alone);
  EXPECT_GT(kept_tokens_then, 0);
  EXPECT_LT(kept_tokens_then, 40);
}

TEST(Cancel, BeforeItsTurnCostsNoLayer) {
  Watched watched;
  const auto running = watched.engine->NewSession().value();
  const auto waiting = watched.engine->NewSession().value();
  auto running_sink = std::make_shared<RecordingSink>();
  auto waiting_sink = std::make_shared<RecordingSink>();
  running_sink->on_token = [&](const Token&) {
    if (running_sink->tokens.size() > 1) return;
    ASSERT_TRUE(waiting->Generate({.prompt = SomePrompt(9)}, waiting_sink).ok());
    waiting->Cancel();
  };
  ASSERT_TRUE(running->Generate({.prompt = SomePrompt(3), .max_tokens = 2}, running_sink).ok());
  running_sink->Wait();
  waiting_sink->Wait();
  EXPECT_EQ(waiting_sink->result.reason, StopReason::kCancelled);
  EXPECT_EQ(waiting_sink->result.completion_tokens, 0);
  EXPECT_EQ(watched.engine->stats().prefill_tokens, 3);
}

// A sink that hears of its end cancels another, whose turn in the list came before.
TEST(Cancel, OfOneByTheEndOfAnotherHoldsBeforeTheSameLayer) {
  Watched watched;
  const auto first = watched.engine->NewSession().value();
  const auto second = watched.engine->NewSession().value();
  auto first_sink = std::make_shared<RecordingSink>();
  auto second_sink = std::make_shared<RecordingSink>();
  int64_t layers_then = -1;
  watched.on_layer = [&](int layer) {
    if (layer != 2 || second_sink->tokens.size() < 3 || layers_then >= 0) return;
    layers_then = watched.engine->stats().layers_computed;
    second->Cancel();
  };
  second_sink->on_done = [&](const GenerateResult&) { first->Cancel(); };
  first_sink->on_prefill = [&](int, int) {
    ASSERT_TRUE(second->Generate({.prompt = SomePrompt(4), .max_tokens = 400}, second_sink).ok());
  };
  ASSERT_TRUE(first->Generate({.prompt = SomePrompt(3), .max_tokens = 400}, first_sink).ok());
  first_sink->Wait();
  second_sink->Wait();
  EXPECT_EQ(watched.engine->stats().layers_computed, layers_then);
}

// While another's prompt is computed, chunk by chunk, those behind it have no part in the pass.
TEST(Cancel, OfOneThatWaitsForItsTurnHoldsBeforeTheNextLayer) {
  Watched watched({.max_sessions = 3, .prefill_chunk = 8});
  const auto starter = watched.engine->NewSession().value();
  const auto prefills = watched.engine->NewSession().value();
  auto waits = watched.engine->NewSession().value();
  auto start = std::make_shared<RecordingSink>();
  auto prefill_sink = std::make_shared<RecordingSink>();
  auto wait_sink = std::make_shared<RecordingSink>();
  bool both_run = false;
  int last_layer = -1, layer_at_end = -1, live_at_end = -1;
  start->on_done = [&](const GenerateResult&) {
    ASSERT_TRUE(prefills->Generate({.prompt = SomePrompt(40), .max_tokens = 1}, prefill_sink).ok());
    ASSERT_TRUE(waits->Generate({.prompt = SomePrompt(30), .max_tokens = 1}, wait_sink).ok());
    both_run = true;
  };
  watched.on_layer = [&](int layer) {
    last_layer = layer;
    if (both_run && layer == 2) waits.reset();
  };
  wait_sink->on_done = [&](const GenerateResult&) {
    layer_at_end = last_layer;
    live_at_end = watched.engine->stats().live_generations;
  };
  ASSERT_TRUE(starter->Generate({.prompt = SomePrompt(2), .max_tokens = 1}, start).ok());
  prefill_sink->Wait();
  wait_sink->Wait();
  EXPECT_EQ(wait_sink->result.reason, StopReason::kCancelled);
  EXPECT_EQ(layer_at_end, 2) << "in the same pass, before the same layer";
  EXPECT_EQ(live_at_end, 1) << "and its slot is free";
  EXPECT_EQ(prefill_sink->tokens.size(), 1u);
}

TEST(Cancel, OfOneInTheQueueHoldsBeforeTheNextLayerAndKeepsItsCache) {
  Watched watched;
  const auto runs = watched.engine->NewSession().value();
  const auto queued = watched.engine->NewSession().value();
  const GenerateRequest before = {.prompt = SomePrompt(20), .max_tokens = 4};
  const std::vector<int32_t> expected = RunGeneration(*queued, before)->ids();
  const int cached = queued->cached_tokens();
  auto run_sink = std::make_shared<RecordingSink>();
  auto queue_sink = std::make_shared<RecordingSink>();
  int last_layer = -1, layer_at_end = -1;
  watched.on_layer = [&](int layer) {
    last_layer = layer;
    if (layer != 3 || queue_sink->dones > 0) return;
    ASSERT_TRUE(queued->Generate({.prompt = SomePrompt(9, 53)}, queue_sink).ok());
    queued->Cancel();
  };
  queue_sink->on_done = [&](const GenerateResult&) { layer_at_end = last_layer; };
  ASSERT_TRUE(runs->Generate({.prompt = SomePrompt(3), .max_tokens = 2}, run_sink).ok());
  run_sink->Wait();
  queue_sink->Wait();
  EXPECT_EQ(queue_sink->result.reason, StopReason::kCancelled);
  EXPECT_EQ(layer_at_end, 3);
  EXPECT_EQ(queued->cached_tokens(), cached);
  const auto again = RunGeneration(*queued, before);
  EXPECT_EQ(again->ids(), expected);
  EXPECT_EQ(again->result.reused_tokens, 19);
}

TEST(Cancel, InsideAnEvaluationHoldsBeforeItsNextLayer) {
  Watched watched;
  const auto session = watched.engine->NewSession().value();
  auto sink = std::make_shared<RecordingSink>();
  int last_layer = -1, layer_at_end = -1, asked = 0;
  watched.on_layer = [&](int layer) {
    last_layer = layer;
    if (layer != 1 || ++asked > 1) return;
    ASSERT_TRUE(session->Generate({.prompt = SomePrompt(9)}, sink).ok());
    session->Cancel();
  };
  sink->on_done = [&](const GenerateResult&) { layer_at_end = last_layer; };
  EXPECT_TRUE(watched.engine->Logits(SomePrompt(5)).ok());
  sink->Wait();
  EXPECT_EQ(layer_at_end, 1);
}

// Both are in one pass; the one whose token comes first cancels the other, whose prompt is whole.
TEST(Cancel, BeforeOnPrefillDeliversNotEvenThat) {
  Watched watched;
  const auto talks = watched.engine->NewSession().value();
  const auto reads = watched.engine->NewSession().value();
  const GenerateRequest request = {.prompt = SomePrompt(3), .max_tokens = 40};
  // Two tokens that come one pass after the other: neither waits for the rest of a character.
  int pass = 0;
  watched.on_layer = [&](int layer) { pass += layer == 0 ? 1 : 0; };
  std::vector<int> passes;
  auto rehearsal = std::make_shared<RecordingSink>();
  rehearsal->on_token = [&](const Token&) { passes.push_back(pass); };
  ASSERT_TRUE(talks->Generate(request, rehearsal).ok());
  rehearsal->Wait();
  size_t first = 1;
  while (first < passes.size() && passes[first] != passes[first - 1] + 1) ++first;
  ASSERT_LT(first, passes.size());

  auto talk = std::make_shared<RecordingSink>();
  auto read = std::make_shared<RecordingSink>();
  talk->on_token = [&](const Token&) {
    if (talk->tokens.size() == first) {
      ASSERT_TRUE(reads->Generate({.prompt = SomePrompt(5), .max_tokens = 9}, read).ok());
    }
    if (talk->tokens.size() == first + 1) reads->Cancel();
  };
  ASSERT_TRUE(talks->Generate(request, talk).ok());
  talk->Wait();
  read->Wait();
  EXPECT_EQ(read->result.reason, StopReason::kCancelled);
  EXPECT_EQ(reads->cached_tokens(), 5) << "its prompt had been computed";
  EXPECT_EQ(read->prefills, 0);
  EXPECT_TRUE(read->tokens.empty());
}

// ---- A session that goes away.

TEST(Destruction, OfManyWithinOneLayerIsBounded) {
  Watched watched({.max_sessions = 3});
  int made = 0;
  absl::Status refused;
  watched.on_layer = [&](int layer) {
    if (layer != 1 || made > 0) return;
    while (made < 100) {
      auto session = watched.engine->NewSession();
      refused = session.status();
      if (!refused.ok()) break;
      ++made;
      ASSERT_TRUE(
          (*session)->Generate({.prompt = SomePrompt(5)}, std::make_shared<RecordingSink>()).ok());
    }
  };
  const auto session = watched.engine->NewSession().value();
  RunGeneration(*session, {.prompt = SomePrompt(5), .max_tokens = 1});
  EXPECT_EQ(made, 5) << "twice max_sessions, with the one that runs";
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(watched.engine->stats().generations_cancelled, 5);
  EXPECT_TRUE(watched.engine->NewSession().ok()) << "there is room again";
}

TEST(Destruction, InsideAPassFreesSlotAndCacheBeforeTheNextLayer) {
  Watched watched({.max_sessions = 1});
  auto session = watched.engine->NewSession().value();
  auto sink = std::make_shared<RecordingSink>();
  EngineStats at_end;
  sink->on_done = [&](const GenerateResult&) { at_end = watched.engine->stats(); };
  int64_t kv_bytes_before = 0;
  int layers_after = 0, passes = 0;
  watched.on_layer = [&](int layer) {
    if (session == nullptr) ++layers_after;
    passes += layer == 0 ? 1 : 0;
    if (layer != 2 || passes != 4) return;
    kv_bytes_before = watched.engine->stats().live_kv_bytes;
    session.reset();
  };
  ASSERT_TRUE(session->Generate({.prompt = SomePrompt(30), .max_tokens = 400}, sink).ok());
  sink->Wait();
  EXPECT_EQ(sink->result.reason, StopReason::kCancelled);
  EXPECT_EQ(sink->dones, 1);
  EXPECT_GT(kv_bytes_before, 0);
  EXPECT_EQ(at_end.live_kv_bytes, 0);
  EXPECT_EQ(at_end.live_sessions, 0);
  EXPECT_EQ(at_end.live_generations, 0);
  EXPECT_EQ(layers_after, 0);
  EXPECT_EQ(at_end.layers_computed, 3 * kLayers + 2);
  EXPECT_TRUE(watched.engine->NewSession().ok()) << "the slot is free again";
}

TEST(Destruction, OfAnIdleSessionFreesItsCacheAtOnce) {
  const auto engine = OpenTinyEngine();
  auto session = engine->NewSession().value();
  RunGeneration(*session, {.prompt = SomePrompt(30), .max_tokens = 3});
  EXPECT_GT(engine->stats().live_kv_bytes, 0);
  session.reset();
  EXPECT_EQ(engine->stats().live_kv_bytes, 0);
  EXPECT_EQ(engine->stats().live_sessions, 0);
}

TEST(Destruction, FromEverySinkCallIsSafe) {
  for (const std::string call : {"prefill", "token", "done"}) {
    const auto engine = OpenTinyEngine();
    auto session = engine->NewSession().value();
    auto sink = std::make_shared<RecordingSink>();
    sink->on_prefill = [&](int, int) {
      if (call == "prefill") session.reset();
    };
    sink->on_token = [&](const Token&) {
      if (call == "token") session.reset();
    };
    sink->on_done = [&](const GenerateResult&) { session.reset(); };
    ASSERT_TRUE(session->Generate({.prompt = SomePrompt(5), .max_tokens = 5}, sink).ok());
    sink->Wait();
    EXPECT_EQ(sink->dones, 1);
    EXPECT_EQ(sink->result.reason,
              call == "done" ? StopReason::kMaxTokens : StopReason::kCancelled);
    EXPECT_EQ(engine->stats().live_sessions, 0);
  }
}

// The engine itself goes with its last session, on its own thread.
TEST(Destruction, OfTheLastSessionFromASinkEndsTheEngine) {
  auto engine = OpenTinyEngine();
  const std::weak_ptr<Engine> watch = engine;
  auto session = engine->NewSession().value();
  engine.reset();
  EXPECT_FALSE(watch.expired()) << "a session keeps its engine";
  auto sink = std::make_shared<RecordingSink>();
  sink->on_token = [&](const Token&) { session.reset(); };
  ASSERT_TRUE(session->Generate({.prompt = SomePrompt(5), .max_tokens = 50}, sink).ok());
  sink->Wait();
  EXPECT_EQ(sink->result.reason, StopReason::kCancelled);
  EXPECT_TRUE(watch.expired());
}

TEST(Destruction, ASinkIsLetGoAfterItsEnd) {
  const auto engine = OpenTinyEngine();
  const auto session = engine->NewSession().value();
  absl::Notification gone;
  struct Sink : RecordingSink {
    explicit Sink(absl::Notification* gone) : gone(gone) {}
    ~Sink() override { gone->Notify(); }
    absl::Notification* gone;
  };
  ASSERT_TRUE(
      session->Generate({.prompt = SomePrompt(5), .max_tokens = 2}, std::make_shared<Sink>(&gone))
          .ok());
  gone.WaitForNotification();
}

// ---- Turns.

TEST(Batching, SessionsTogetherGiveTheSameTokensAsAlone) {
  const auto engine = OpenTinyEngine({.max_sessions = 5, .prefill_chunk = 8});
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < 4; ++i) {
    GenerateRequest request = {.prompt = SomePrompt(5 + 11 * i, 37 + 2 * i), .max_tokens = 30};
    if (i % 2 == 1) request.sampling = {.temperature = 1, .seed = static_cast<uint64_t>(i)};
    requests.push_back(request);
  }
  std::vector<std::vector<int32_t>> alone;
  for (const GenerateRequest& request : requests) alone.push_back(GenerateAlone(*engine, request));

  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (const GenerateRequest& request : requests) {
    sessions.push_back(engine->NewSession().value());
    sinks.push_back(std::make_shared<RecordingSink>());
    ASSERT_TRUE(sessions.back()->Generate(request, sinks.back()).ok());
  }
  for (size_t i = 0; i < sinks.size(); ++i) {
    sinks[i]->Wait();
    EXPECT_EQ(sinks[i]->ids(), alone[i]) << "session " << i;
  }
}

TEST(Batching, ATokenFlowsBesideEveryChunkOfAnothersPrompt) {
  const auto engine = OpenTinyEngine({.prefill_chunk = 8});
  const auto talker = engine->NewSession().value();
  const auto reader = engine->NewSession().value();
  auto talk = std::make_shared<RecordingSink>();
  auto read = std::make_shared<RecordingSink>();
  size_t talked_before = 0, talked_after = 0;
  talk->on_token = [&](const Token&) {
    if (talk->tokens.size() < 3 || talked_before > 0) return;
    talked_before = talk->tokens.size();
    ASSERT_TRUE(reader->Generate({.prompt = SomePrompt(200), .max_tokens = 1}, read).ok());
  };
  read->on_prefill = [&](int, int) { talked_after = talk->tokens.size(); };
  ASSERT_TRUE(talker->Generate({.prompt = SomePrompt(3), .max_tokens = 300}, talk).ok());
  talk->Wait();
  read->Wait();
  // 200 tokens in chunks of 8 / 4, and a token of the other in each pass but perhaps the last
  // (some may wait for the rest of their character).
  EXPECT_GE(talked_after - talked_before, 90u);
}

TEST(Batching, AShortPromptDoesNotWaitForALongOne) {
  const auto engine = OpenTinyEngine({.prefill_chunk = 10});
  const auto starter = engine->NewSession().value();
  const auto slow = engine->NewSession().value();
  const auto quick = engine->NewSession().value();
  auto start = std::make_shared<RecordingSink>();
  auto slow_sink = std::make_shared<RecordingSink>();
  auto quick_sink = std::make_shared<RecordingSink>();
  // Both are asked for between two passes, the long one first.
  start->on_done = [&](const GenerateResult&) {
    ASSERT_TRUE(slow->Generate({.prompt = SomePrompt(400), .max_tokens = 1}, slow_sink).ok());
    ASSERT_TRUE(quick->Generate({.prompt = SomePrompt(12), .max_tokens = 1}, quick_sink).ok());
  };
  int slow_dones_at_quick = -1;
  quick_sink->on_done = [&](const GenerateResult&) { slow_dones_at_quick = slow_sink->dones; };
  ASSERT_TRUE(starter->Generate({.prompt = SomePrompt(2), .max_tokens = 1}, start).ok());
  start->Wait();
  slow_sink->Wait();
  quick_sink->Wait();
  EXPECT_EQ(slow_dones_at_quick, 0);
}

TEST(Batching, TheCacheGrowsWithTheConversation) {
  const auto engine = OpenTinyEngine();
  const auto session = engine->NewSession().value();
  EXPECT_EQ(engine->stats().live_kv_bytes, 0);
  RunGeneration(*session, {.prompt = SomePrompt(5), .max_tokens = 1});
  const int64_t small = engine->stats().live_kv_bytes;
  EXPECT_GT(small, 0);
  RunGeneration(*session, {.prompt = SomePrompt(500), .max_tokens = 1});
  EXPECT_EQ(engine->stats().live_kv_bytes, 2 * small);  // 512 positions instead of 256
}

// ---- Logits beside generations.

TEST(Evaluation, RunsBesideGenerationsAndAgreesWithItself) {
  const auto engine = OpenTinyEngine();
  const auto session = engine->NewSession().value();
  const std::vector<float> quiet = engine->Logits(SomePrompt(50)).value();
  auto sink = std::make_shared<RecordingSink>();
  ASSERT_TRUE(session->Generate({.prompt = SomePrompt(5), .max_tokens = 60}, sink).ok());
  EXPECT_EQ(engine->Logits(SomePrompt(50)).value(), quiet);
  sink->Wait();
  EXPECT_EQ(sink->tokens.size(), 60u);
  EXPECT_EQ(quiet.size(), 50u * engine->info().vocabulary);
}

TEST(Evaluation, FromASinkIsRefusedForItWouldWaitForItself) {
  const auto engine = OpenTinyEngine();
  const auto session = engine->NewSession().value();
  auto sink = std::make_shared<RecordingSink>();
  absl::Status status;
  sink->on_token = [&](const Token&) { status = engine->Logits(SomePrompt(2)).status(); };
  ASSERT_TRUE(session->Generate({.prompt = SomePrompt(5), .max_tokens = 1}, sink).ok());
  sink->Wait();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Evaluation, ChecksItsIds) {
  const auto engine = OpenTinyEngine();
  EXPECT_EQ(engine->Logits({}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine->Logits({-1}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine->Logits(SomePrompt(513)).status().code(), absl::StatusCode::kOutOfRange);
}

// ---- Everything at once; ThreadSanitizer watches.

// One thread's life: generations that run out, are cancelled from here or from the sink, and
// sessions that go in the middle.
void LiveWildly(Engine& engine, int thread, std::atomic<int>* dones) {
  for (int round = 0; round < 12; ++round) {
    absl::StatusOr<std::unique_ptr<Session>> session = engine.NewSession();
    ASSERT_TRUE(session.ok()) << session.status();
    auto sink = std::make_shared<RecordingSink>();
    absl::Notification third;
    Session* borrowed = session->get();
    const int mode = (thread + round) % 4;
    sink->on_token = [&, borrowed](const Token&) {
      if (sink->tokens.size() < 3 || third.HasBeenNotified()) return;
      if (mode == 1) borrowed->Cancel();
      third.Notify();
    };
    sink->on_done = [&](const GenerateResult&) {
      ++*dones;
      if (!third.HasBeenNotified()) third.Notify();  // the text was shorter
    };
    ASSERT_TRUE(
        (*session)
            ->Generate({.prompt = SomePrompt(3 + 17 * round, 37 + 2 * thread), .max_tokens = 12},
                       sink)
            .ok());
    if (mode == 2) (*session)->Cancel();
    if (mode == 3) {
      third.WaitForNotification();
      session->reset();
    }
    engine.stats();
    sink->Wait();
    EXPECT_EQ(sink->dones, 1);
    if (mode == 0) {
      EXPECT_NE(sink->result.reason, StopReason::kCancelled);
    }
    EXPECT_NE(sink->result.reason, StopReason::kError) << sink->result.status;
  }
}

TEST(Stress, FourThreadsOfSessionsThatComeAndGo) {
  const auto engine = OpenTinyEngine({.max_sessions = 4, .prefill_chunk = 16});
  std::atomic<int> dones = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] { LiveWildly(*engine, thread, &dones); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(dones, 48);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.generations_finished + stats.generations_cancelled, 48);
  EXPECT_EQ(stats.live_sessions, 0);
  EXPECT_EQ(stats.live_generations, 0);
  EXPECT_EQ(stats.live_kv_bytes, 0);
}

}  // namespace
}  // namespace nearfar
