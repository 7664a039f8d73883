// Retries before the first event only, with full jitter, push-back, a shared budget and no waiting
// past the deadline; by a fake stub, a fake clock and timers that fire by hand.

#include "cloud_client/stub/retry_stub.h"

#include "gtest/gtest.h"
#include "tests/cloud_client/fake_stub.h"
#include "tests/testing/fake_clock.h"

namespace nearfar {
namespace {

using testing::FakeClock;
using testing::FakeStub;
using testing::FakeTimers;
using testing::FinishedWith;
using testing::StubRecorder;
using testing::Unavailable;

class RetryStubTest : public ::testing::Test {
 protected:
  RetryStubTest() {
    RetryOptions options;
    options.attempts = 4;
    options.base = absl::Milliseconds(100);
    options.cap = absl::Milliseconds(300);
    options.clock = clock_.function();
    options.uniform = [this] { return uniform_; };
    options.after = timers_.after();
    options.retries = retries_;
    stub_ = MakeRetryStub(fake_, options);
  }
  // Calls that never end keep their stub, which keeps its calls.
  ~RetryStubTest() override { fake_->calls.clear(); }

  std::unique_ptr<CloudCall> Start(absl::Time deadline = absl::InfiniteFuture()) {
    StubRequest request;
    request.deadline = deadline;
    recorder_ = std::make_shared<StubRecorder>();
    return stub_->Start(request, recorder_);
  }
  StubSink& Latest() { return *fake_->calls.back()->sink; }

  FakeClock clock_;
  FakeTimers timers_;
  double uniform_ = 0.5;
  std::shared_ptr<std::atomic<int64_t>> retries_ = std::make_shared<std::atomic<int64_t>>(0);
  std::shared_ptr<FakeStub> fake_ = std::make_shared<FakeStub>();
  std::shared_ptr<CloudStub> stub_;
  std::shared_ptr<StubRecorder> recorder_;
};

TEST_F(RetryStubTest, WhatAnEarlierAttemptSentWasSent) {
  StubError shut;
  shut.error.kind = CloudErrorKind::kBreakerOpen;
  shut.error.nothing_sent = true;
  auto only = Start();
  Latest().OnError(shut);
  EXPECT_TRUE(recorder_->error->error.nothing_sent);
  auto second = Start();
  Latest().OnError(Unavailable());  // refused, by a server that had it
  timers_.FireNext();
  Latest().OnError(shut);
  EXPECT_FALSE(recorder_->error->error.nothing_sent);
}

TEST_F(RetryStubTest, TriesAgainWithFullJitterAndThenGivesTheLastError) {
  auto call = Start();
  for (int i = 0; i < 3; ++i) {
    Latest().OnError(Unavailable());
    EXPECT_EQ(recorder_->terminals, 0);
    timers_.FireNext();
  }
  Latest().OnError(Unavailable());
  EXPECT_EQ(recorder_->terminals, 1);
  EXPECT_EQ(recorder_->error->error.kind, CloudErrorKind::kUnavailable);
  EXPECT_EQ(fake_->calls.size(), 4u);
  EXPECT_EQ(retries_->load(), 3);
  // Half of 100, 200, and of the cap.
  EXPECT_EQ(timers_.delays,
            (std::vector<absl::Duration>{absl::Milliseconds(50), absl::Milliseconds(100),
                                         absl::Milliseconds(150)}));
}

TEST_F(RetryStubTest, ASecondTryAnswers) {
  auto call = Start();
  Latest().OnError(Unavailable());
  timers_.FireNext();
  Latest().OnStarted({"m", "f", 1});
  Latest().OnDelta("yes");
  Latest().OnFinished(FinishedWith(1, 1));
  EXPECT_EQ(recorder_->text, "yes");
  EXPECT_EQ(recorder_->terminals, 1);
  EXPECT_TRUE(recorder_->finished);
}

TEST_F(RetryStubTest, NeverAfterTheFirstEvent) {
  for (bool text : {false, true}) {
    auto call = Start();
    Latest().OnStarted({"m", "f", 1});
    if (text) Latest().OnDelta("half an ans");
    Latest().OnError(Unavailable());
    EXPECT_EQ(recorder_->terminals, 1);
    EXPECT_TRUE(timers_.waiting.empty());
  }
}

TEST_F(RetryStubTest, NotWhatIsNotRetryable) {
  auto call = Start();
  StubError error = Unavailable();
  error.retryable = false;
  Latest().OnError(error);
  EXPECT_EQ(recorder_->terminals, 1);
  EXPECT_EQ(fake_->calls.size(), 1u);
}

TEST_F(RetryStubTest, HonoursPushBack) {
  auto call = Start();
  StubError error = Unavailable();
  error.push_back = absl::Milliseconds(300);
  Latest().OnError(error);
  EXPECT_EQ(timers_.delays, std::vector<absl::Duration>{absl::Milliseconds(300)});
}

TEST_F(RetryStubTest, DoesNotWaitForAPushBackAboveTheCap) {
  auto call = Start(clock_.Now() + absl::Hours(1));
  StubError error = Unavailable();
  error.push_back = absl::Milliseconds(301);
  Latest().OnError(error);
  EXPECT_EQ(recorder_->terminals, 1);
  EXPECT_TRUE(timers_.waiting.empty());
}

TEST_F(RetryStubTest, AbandonReachesTheRunningAttemptAsWhatItIs) {
  auto call = Start();
  call->Abandon();
  EXPECT_TRUE(fake_->calls[0]->abandoned);
}

TEST_F(RetryStubTest, DoesNotWaitPastTheDeadline) {
  auto call = Start(clock_.Now() + absl::Milliseconds(49));
  Latest().OnError(Unavailable());
  EXPECT_EQ(recorder_->terminals, 1);
  EXPECT_TRUE(timers_.waiting.empty());
}

TEST_F(RetryStubTest, CancelReachesTheRunningAttempt) {
  auto call = Start();
  Latest().OnError(Unavailable());
  timers_.FireNext();
  call->Cancel();
  EXPECT_TRUE(fake_->calls[1]->cancelled);
  EXPECT_EQ(recorder_->terminals, 0);  // the attempt's own end follows
  StubError error;
  error.error.kind = CloudErrorKind::kCancelled;
  Latest().OnError(error);
  EXPECT_EQ(recorder_->terminals, 1);
}

TEST_F(RetryStubTest, CancelInAPauseEndsAtOnceAndNothingIsTriedLater) {
  auto call = Start();
  Latest().OnError(Unavailable());
  call->Cancel();
  EXPECT_EQ(recorder_->terminals, 1);
  EXPECT_EQ(recorder_->error->error.kind, CloudErrorKind::kCancelled);
  timers_.FireNext();
  EXPECT_EQ(fake_->calls.size(), 1u);
  EXPECT_EQ(recorder_->terminals, 1);
}

TEST_F(RetryStubTest, DroppingTheHandleCancels) {
  Start().reset();
  EXPECT_TRUE(fake_->calls[0]->cancelled);
}

TEST_F(RetryStubTest, EndsFromWithinStart) {
  fake_->on_start = [](FakeStub::Started& call) { call.sink->OnError(Unavailable()); };
  auto call = Start();
  while (!timers_.waiting.empty()) timers_.FireNext();
  EXPECT_EQ(recorder_->terminals, 1);
  EXPECT_EQ(fake_->calls.size(), 4u);
}

// Property (gRFC A6): a far side in full failure hears little more than one call a request.
TEST_F(RetryStubTest, TheBudgetBoundsTheLoadOfRetries) {
  fake_->on_start = [](FakeStub::Started& call) { call.sink->OnError(Unavailable()); };
  constexpr int kRequests = 100;
  for (int i = 0; i < kRequests; ++i) {
    auto call = Start();
    while (!timers_.waiting.empty()) timers_.FireNext();
  }
  EXPECT_LE(fake_->calls.size(), kRequests * 1.1);
  EXPECT_GT(fake_->calls.size(), static_cast<size_t>(kRequests));  // the first ones were retried

  // Successes earn it back: 100 of them pay for ten failures.
  fake_->on_start = [](FakeStub::Started& call) { call.sink->OnFinished(FinishedWith(1, 1)); };
  for (int i = 0; i < 100; ++i) Start();
  fake_->on_start = nullptr;
  auto call = Start();
  Latest().OnError(Unavailable());
  EXPECT_FALSE(timers_.waiting.empty());
}

}  // namespace
}  // namespace nearfar
