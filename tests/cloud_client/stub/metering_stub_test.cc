// Counters and moving averages; and that a bill passes.

#include "cloud_client/stub/metering_stub.h"

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

class MeteringStubTest : public ::testing::Test {
 protected:
  std::shared_ptr<StubRecorder> Start(absl::Duration limit = absl::InfiniteDuration()) {
    auto recorder = std::make_shared<StubRecorder>();
    StubRequest request;
    request.deadline = wall_.Now() + limit;
    handle_ = stub_->Start(request, recorder);
    return recorder;
  }
  StubSink& Latest() { return *fake_->calls.back()->sink; }

  FakeClock clock_, wall_;
  std::shared_ptr<FakeStub> fake_ = std::make_shared<FakeStub>();
  std::shared_ptr<Meter> meter_ = std::make_shared<Meter>();
  std::shared_ptr<CloudStub> stub_ =
      MakeMeteringStub(fake_, meter_, {wall_.function(), clock_.function()});
  std::unique_ptr<CloudCall> handle_;
};

TEST_F(MeteringStubTest, ABillPassesThroughWithAndWithoutUsage) {
  for (std::optional<double> bill : {std::optional<double>(), std::optional<double>(0.5)}) {
    for (int64_t tokens : {0, 1000}) {
      auto recorder = Start();
      CloudFinished event = FinishedWith(tokens, tokens);
      event.bill_usd = bill;
      Latest().OnFinished(event);
      EXPECT_EQ(recorder->finished->bill_usd, bill);
      EXPECT_EQ(recorder->finished->prompt_tokens, tokens);
    }
  }
  EXPECT_EQ(meter_->Read().billed_usd, 1.0);
}

// The wall clock may be set while a call runs, by hours.
TEST_F(MeteringStubTest, SettingTheWallClockMovesNoMeasure) {
  Start(absl::Seconds(30));
  wall_.Advance(absl::Hours(3));
  clock_.Advance(absl::Milliseconds(200));
  Latest().OnDelta("a");
  Latest().OnFinished(FinishedWith(5, 1));
  EXPECT_NEAR(*meter_->Read().ttft_seconds, 0.2, 1e-9);
}

TEST_F(MeteringStubTest, AWaitThatTheCallCouldNotHaveIsNotCounted) {
  for (absl::Duration wait : {-absl::Seconds(1), absl::Seconds(31)}) {
    Start(absl::Seconds(30));
    clock_.Advance(wait);
    Latest().OnDelta("a");
    Latest().OnFinished(FinishedWith(5, 1));
    EXPECT_FALSE(meter_->Read().ttft_seconds);
  }
}

TEST_F(MeteringStubTest, MeasuresTimeToFirstTextAndSpeedAfterIt) {
  for (int i = 0; i < 2; ++i) {
    Start();
    clock_.Advance(absl::Milliseconds(i == 0 ? 200 : 300));
    Latest().OnDelta("a");
    clock_.Advance(absl::Seconds(1));
    Latest().OnDelta("b");
    Latest().OnFinished(FinishedWith(5, i == 0 ? 21 : 31));
  }
  const MeterReading reading = meter_->Read();
  EXPECT_NEAR(*reading.ttft_seconds, 0.2 + 0.3 * 0.1, 1e-9);
  EXPECT_NEAR(*reading.tokens_per_second, 20 + 0.3 * 10, 1e-9);
}

TEST_F(MeteringStubTest, CountsFailuresButNotOurOwnCancelsNorRefusalsOfTheBreaker) {
  Start();
  Latest().OnError(Unavailable());
  for (CloudErrorKind kind : {CloudErrorKind::kCancelled, CloudErrorKind::kBreakerOpen}) {
    Start();
    StubError error;
    error.error.kind = kind;
    Latest().OnError(error);
  }
  EXPECT_EQ(meter_->Read().calls, 2);
  EXPECT_EQ(meter_->Read().failures, 1);
  EXPECT_FALSE(meter_->Read().last_call_succeeded);
}

TEST_F(MeteringStubTest, RemembersWhatModelAnswers) {
  EXPECT_FALSE(meter_->Read().model);
  CloudModel model;
  model.model = "big";
  model.fingerprint = "f1";
  model.context_tokens = 4096;
  fake_->model = model;
  ASSERT_TRUE(stub_->GetModel(StubRequest()).ok());
  Start();
  Latest().OnStarted({"big", "f1", 3});
  EXPECT_EQ(meter_->Read().model->context_tokens, 4096);
  Start();
  Latest().OnStarted({"bigger", "f2", 3});  // replaced behind our back: the rest is stale
  EXPECT_EQ(meter_->Read().model->model, "bigger");
  EXPECT_EQ(meter_->Read().model->context_tokens, 0);
}

}  // namespace
}  // namespace nearfar
