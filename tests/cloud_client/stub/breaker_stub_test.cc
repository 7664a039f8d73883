// The breaker's states by an injected clock, and the bound on what a dead far side is made to
// carry.

#include "cloud_client/stub/breaker_stub.h"

#include <random>

#include "gtest/gtest.h"
#include "tests/cloud_client/fake_stub.h"
#include "tests/testing/fake_clock.h"

namespace nearfar {
namespace {

using testing::FakeClock;
using testing::FakeStub;
using testing::FinishedWith;
using testing::StubRecorder;
using testing::Unavailable;

class BreakerStubTest : public ::testing::Test {
 protected:
  BreakerStubTest() { Forget(); }
  std::shared_ptr<StubRecorder> Call() {
    auto recorder = std::make_shared<StubRecorder>();
    stub_->Start(StubRequest(), recorder);
    return recorder;
  }
  void Answer(bool well) {
    fake_->on_start = [well](FakeStub::Started& call) {
      if (well) call.sink->OnFinished(FinishedWith(1, 1));
      if (!well) call.sink->OnError(Unavailable());
    };
  }

  // As before the first call.
  void Forget() {
    breaker_ = std::make_shared<Breaker>(3, absl::Seconds(5), absl::Seconds(60), clock_.function());
    stub_ = MakeBreakerStub(fake_, breaker_, {[] { return absl::Seconds(3); }, clock_.function()});
  }

  FakeClock clock_;
  std::shared_ptr<FakeStub> fake_ = std::make_shared<FakeStub>();
  std::shared_ptr<Breaker> breaker_;
  std::shared_ptr<CloudStub> stub_;
};

TEST_F(BreakerStubTest, OpensAfterFailuresInARow) {
  Answer(false);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Call()->error->error.kind, CloudErrorKind::kUnavailable);
  EXPECT_EQ(breaker_->state(), Breaker::State::kOpen);
  EXPECT_EQ(Call()->error->error.kind, CloudErrorKind::kBreakerOpen);
  EXPECT_EQ(fake_->calls.size(), 3u);
}

TEST_F(BreakerStubTest, ASuccessBetweenStartsTheCountAgain) {
  for (int i = 0; i < 10; ++i) {
    Answer(false);
    Call();
    Call();
    Answer(true);
    Call();
  }
  EXPECT_EQ(breaker_->state(), Breaker::State::kClosed);
}

TEST_F(BreakerStubTest, OneProbeAtATimeAndOneGoodProbeCloses) {
  Answer(false);
  for (int i = 0; i < 3; ++i) Call();
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(breaker_->state(), Breaker::State::kHalfOpen);
  fake_->on_start = nullptr;  // the probe hangs
  std::shared_ptr<StubRecorder> probe = Call();
  EXPECT_EQ(probe->terminals, 0);
  EXPECT_EQ(breaker_->state(), Breaker::State::kOpen) << "as another call would find it";
  EXPECT_EQ(Call()->error->error.kind, CloudErrorKind::kBreakerOpen);
  EXPECT_TRUE(Call()->error->error.nothing_sent);
  fake_->calls.back()->sink->OnFinished(FinishedWith(1, 1));
  EXPECT_TRUE(probe->finished);
  EXPECT_EQ(breaker_->state(), Breaker::State::kClosed);
  Answer(true);
  EXPECT_TRUE(Call()->finished);
}

TEST_F(BreakerStubTest, FailingProbesDoubleThePauseUpToTheCap) {
  Answer(false);
  for (int i = 0; i < 3; ++i) Call();
  absl::Duration pause = absl::Seconds(5);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(breaker_->open_until() - clock_.Now(), pause);
    clock_.Advance(pause - absl::Milliseconds(1));
    EXPECT_EQ(Call()->error->error.kind, CloudErrorKind::kBreakerOpen);
    clock_.Advance(absl::Milliseconds(1));
    EXPECT_EQ(Call()->error->error.kind, CloudErrorKind::kUnavailable);
    pause = std::min(pause * 2, absl::Seconds(60));
  }
}

TEST_F(BreakerStubTest, ACancelledProbeIsGivenBack) {
  Answer(false);
  for (int i = 0; i < 3; ++i) Call();
  clock_.Advance(absl::Seconds(5));
  fake_->on_start = [](FakeStub::Started& call) {
    StubError error;
    error.error.kind = CloudErrorKind::kCancelled;
    call.sink->OnError(error);
  };
  Call();
  EXPECT_EQ(breaker_->state(), Breaker::State::kHalfOpen);
  Answer(true);
  EXPECT_TRUE(Call()->finished);
  EXPECT_EQ(breaker_->state(), Breaker::State::kClosed);
}

// Three calls in a row that say `said` at once and end so, each after `had`.
class SilenceTest : public BreakerStubTest {
 protected:
  enum class End { kCancel, kAbandon, kDeadline };
  enum class Said { kNothing, kStarted, kText, kTextToTheEnd };
  Breaker::State After(End end, absl::Duration had, Said said = Said::kNothing) {
    for (int i = 0; i < 3; ++i) {
      auto call = stub_->Start(StubRequest(), std::make_shared<StubRecorder>());
      StubSink& sink = *fake_->calls.back()->sink;
      if (said != Said::kNothing) sink.OnStarted({"m", "f", 1});
      if (said >= Said::kText) sink.OnDelta("a");
      clock_.Advance(had);
      if (said == Said::kTextToTheEnd) sink.OnDelta("b");
      if (end == End::kAbandon) call->Abandon();
      StubError error;
      error.answered = said != Said::kNothing;
      error.error.kind =
          end == End::kDeadline ? CloudErrorKind::kDeadline : CloudErrorKind::kCancelled;
      fake_->calls.back()->sink->OnError(error);
    }
    return breaker_->state();
  }
};

TEST_F(SilenceTest, IsAFailureWhereTheCallHadAFairTime) {
  EXPECT_EQ(After(End::kAbandon, absl::Seconds(3)), Breaker::State::kOpen);
}

TEST_F(SilenceTest, UntilTheDeadlineToo) {
  EXPECT_EQ(After(End::kDeadline, absl::Seconds(3)), Breaker::State::kOpen);
}

TEST_F(SilenceTest, SaysNothingWhereTheCallerWasInAHurry) {
  const absl::Duration hurry = absl::Milliseconds(200);
  EXPECT_EQ(After(End::kDeadline, hurry), Breaker::State::kClosed);
  EXPECT_EQ(After(End::kAbandon, hurry), Breaker::State::kClosed);
  EXPECT_EQ(After(End::kCancel, absl::Hours(1)), Breaker::State::kClosed) << "the user's own";
}

// gRPC's deadline and the router's abandoning come at the same moment, in either order.
TEST_F(SilenceTest, IsJudgedAlikeWhicheverEndComesFirst) {
  for (Said said : {Said::kStarted, Said::kText}) {
    for (End end : {End::kDeadline, End::kAbandon}) {
      Forget();
      EXPECT_EQ(After(end, absl::Seconds(2), said), Breaker::State::kClosed);
      EXPECT_EQ(After(end, absl::Seconds(3), said), Breaker::State::kOpen);
    }
  }
  for (End end : {End::kDeadline, End::kAbandon}) {
    Forget();
    EXPECT_EQ(After(end, absl::Minutes(1), Said::kTextToTheEnd), Breaker::State::kClosed)
        << "long, but never silent";
  }
}

TEST_F(BreakerStubTest, AnAnswerThatRefusesMeansALivingServer) {
  fake_->on_start = [](FakeStub::Started& call) {
    StubError error;
    error.error.kind = CloudErrorKind::kBadRequest;
    error.answered = true;
    call.sink->OnError(error);
  };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Call()->error->error.kind, CloudErrorKind::kBadRequest);
  EXPECT_EQ(breaker_->state(), Breaker::State::kClosed);
}

// Property: whatever the times between calls, a far side that always fails hears the first failures
// and then at most one call a pause; and once it is well again, the next probe closes the breaker.
TEST_F(BreakerStubTest, LoadOnADeadServerIsBoundedAndRecoveryTakesOneProbe) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    fake_->calls.clear();
    Answer(false);
    const absl::Time begin = clock_.Now();
    int asked = 0;
    while (clock_.Now() - begin < absl::Minutes(10)) {
      Call();
      ++asked;
      clock_.Advance(absl::Milliseconds(std::uniform_int_distribution<>(1, 2000)(random)));
    }
    // 3 to open, then pauses of 5, 10, 20, 40, 60, 60, ... seconds within ten minutes.
    EXPECT_LE(fake_->calls.size(), 3u + 4u + 10u);
    EXPECT_GT(asked, 300);

    Answer(true);
    clock_.Set(std::max(clock_.Now(), breaker_->open_until()));
    EXPECT_TRUE(Call()->finished);
    EXPECT_EQ(breaker_->state(), Breaker::State::kClosed);
  }
}

TEST_F(BreakerStubTest, LateEndsOfEarlierCallsDoNotCloseIt) {
  fake_->on_start = nullptr;
  Call();  // hangs from before the trouble
  Answer(false);
  for (int i = 0; i < 3; ++i) Call();
  fake_->calls.front()->sink->OnFinished(FinishedWith(1, 1));
  EXPECT_EQ(breaker_->state(), Breaker::State::kOpen);
}

}  // namespace
}  // namespace nearfar
