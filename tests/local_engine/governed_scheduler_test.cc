// What the governor holds of a scheduler, and what it does not.

#include <memory>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "local_engine/engine.h"
#include "local_engine/governor.h"
#include "local_engine/kernels/dispatch.h"
#include "local_engine/model/model.h"
#include "local_engine/scheduler.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/recording_sink.h"
#include "tests/testing/tiny_engine.h"

namespace nearfar {
namespace {

using ::nearfar::testing::OpenTinyEngine;
using ::nearfar::testing::RecordingSink;
using ::nearfar::testing::RunGeneration;
using ::nearfar::testing::SomePrompt;

// A scheduler on the test's clock, whose passes can be waited for.
class Governed {
 public:
  explicit Governed(GovernorOptions limits) {
    limits.now = clock.function();
    SchedulerOptions options;
    options.kernels = SelectKernels("").value();
    options.threads = limits.threads;
    options.context = 512;
    options.max_sessions = 2;
    options.prefill_chunk = 64;
    options.layer_observer = [this](int layer) {
      if (layer == 0) NotePass();
    };
    const std::string path = testing::WriteTinyModel(testing::WanderingModel(), "governed.gguf");
    scheduler = Scheduler::Start(LoadModel(path).value(), options,
                                 Governor::Create(std::move(limits)).value())
                    .value();
  }
  ~Governed() { scheduler->Stop(); }

  std::unique_ptr<Session> NewSession() { return scheduler->NewSession(nullptr).value(); }
  // From now on a second goes by in each pass.
  void LetTimePass() {
    absl::MutexLock lock(&mutex_);
    time_passes_ = true;
    clock.Advance(absl::Seconds(1));
  }
  void WaitForPass(int pass) {
    absl::MutexLock lock(&mutex_);
    const auto begun = [this, pass]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return passes_ >= pass; };
    mutex_.Await(absl::Condition(&begun));
  }
  int passes() {
    absl::MutexLock lock(&mutex_);
    return passes_;
  }

  testing::FakeClock clock;
  std::shared_ptr<Scheduler> scheduler;

 private:
  void NotePass() {
    absl::MutexLock lock(&mutex_);
    ++passes_;
    if (time_passes_) clock.Advance(absl::Seconds(1));
  }

  absl::Mutex mutex_;
  int passes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool time_passes_ ABSL_GUARDED_BY(mutex_) = false;
};

TEST(Pacing, HoldsTheNextTokenButNoPrompt) {
  Governed governed({.max_tokens_per_second = 2});
  const auto talks = governed.NewSession(), asks = governed.NewSession();
  auto talk = std::make_shared<RecordingSink>();
  ASSERT_TRUE(talks->Generate({.prompt = SomePrompt(5), .max_tokens = 9}, talk).ok());
  governed.WaitForPass(2);  // the prompt's and one more
  for (int round = 0; round < 3; ++round) {
    RunGeneration(*asks, {.prompt = SomePrompt(100, 53 + 2 * round), .max_tokens = 1});
    const EngineStats stats = governed.scheduler->stats();
    EXPECT_EQ(stats.decode_tokens, 1) << "time stands still";
    EXPECT_TRUE(stats.paced);
  }
  governed.LetTimePass();
  RunGeneration(*asks, {.prompt = SomePrompt(3), .max_tokens = 1});  // it looks at the clock again
  talk->Wait();
  EXPECT_EQ(talk->result.completion_tokens, 9);
  EXPECT_FALSE(governed.scheduler->stats().paced);
}

TEST(Pacing, CountsTheTokensOfAllSessions) {
  Governed governed({.max_tokens_per_second = 1e-3});
  const auto first = governed.NewSession(), second = governed.NewSession();
  auto first_sink = std::make_shared<RecordingSink>();
  auto second_sink = std::make_shared<RecordingSink>();
  ASSERT_TRUE(first->Generate({.prompt = SomePrompt(5), .max_tokens = 9}, first_sink).ok());
  governed.WaitForPass(2);
  ASSERT_TRUE(second->Generate({.prompt = SomePrompt(7), .max_tokens = 9}, second_sink).ok());
  governed.WaitForPass(3);
  EXPECT_TRUE(governed.scheduler->Logits(SomePrompt(4)).ok()) << "is not held";
  EXPECT_EQ(governed.scheduler->stats().decode_tokens, 1);
  first->Cancel();
  second->Cancel();
  first_sink->Wait();
  second_sink->Wait();
  EXPECT_EQ(second_sink->result.completion_tokens, 1) << "the prompt's own";
}

TEST(Pacing, DoesNotHoldACancellation) {
  Governed governed({.max_tokens_per_second = 1e-6});
  const auto session = governed.NewSession();
  auto sink = std::make_shared<RecordingSink>();
  ASSERT_TRUE(session->Generate({.prompt = SomePrompt(5), .max_tokens = 9}, sink).ok());
  governed.WaitForPass(2);
  session->Cancel();
  sink->Wait();
  EXPECT_EQ(sink->result.reason, StopReason::kCancelled);
  EXPECT_EQ(governed.passes(), 2);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(governed.scheduler->Logits(SomePrompt(2)).ok());
  EXPECT_FALSE(governed.scheduler->stats().paced) << "nobody waits";
}

TEST(Pacing, DoesNotHoldTheEnd) {
  auto sink = std::make_shared<RecordingSink>();
  {
    Governed governed({.max_tokens_per_second = 1e-6});
    const auto session = governed.NewSession();
    ASSERT_TRUE(session->Generate({.prompt = SomePrompt(5), .max_tokens = 9}, sink).ok());
    governed.WaitForPass(2);
  }
  EXPECT_EQ(sink->result.reason, StopReason::kCancelled);
}

TEST(Heat, FewerThreadsSayTheSame) {
  Governed hot({.max_temperature = 80, .threads = 4, .thermometer = [] { return 90.0; }});
  Governed cool({.max_temperature = 80, .threads = 4, .thermometer = [] { return 40.0; }});
  const GenerateRequest request = {.prompt = SomePrompt(70), .max_tokens = 20};
  EXPECT_EQ(RunGeneration(*hot.NewSession(), request)->ids(),
            RunGeneration(*cool.NewSession(), request)->ids());
  EXPECT_EQ(hot.scheduler->stats().threads_in_use, 2);
  EXPECT_EQ(hot.scheduler->stats().temperature_celsius, 90);
  EXPECT_EQ(cool.scheduler->stats().threads_in_use, 4);
}

TEST(Heat, WithoutALimitNobodyReadsIt) {
  const auto engine = OpenTinyEngine({.threads = 2});
  EXPECT_EQ(engine->stats().threads_in_use, 2);
  EXPECT_FALSE(engine->stats().temperature_celsius.has_value());
  EXPECT_FALSE(engine->stats().paced);
}

}  // namespace
}  // namespace nearfar
