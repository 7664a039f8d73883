// The list of protocols and the order of the decorators.

#include "cloud_client/stub/make_stub.h"

#include <set>

#include "gtest/gtest.h"
#include "tests/cloud_client/fake_stub.h"
#include "tests/testing/fake_clock.h"

namespace nearfar {
namespace {

TEST(MakeStubTest, ProtocolsHaveNamesOfTheirOwnAndEachIsMade) {
  std::set<std::string> names;
  for (const ProtocolEntry& entry : AllProtocols()) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    CloudOptions options;
    options.protocol = entry.name;
    options.target = "dns:///far.example:7443";
    EXPECT_TRUE(MakeStub(options).ok()) << entry.name;
  }
}

TEST(MakeStubTest, RefusesBadOptionsByName) {
  CloudOptions good;
  good.name = "home";
  good.target = "dns:///far.example:7443";
  std::vector<std::pair<CloudOptions, std::string>> bad(9, {good, ""});
  bad[0].first.protocol = "smoke-signals", bad[0].second = "unknown protocol";
  bad[1].first.target = "far.example", bad[1].second = "HOST:PORT";
  bad[2].first.input_usd_per_mtok = -1, bad[2].second = "price";
  bad[3].first.retry_attempts = 0, bad[3].second = "retry_attempts";
  bad[4].first.api_key = "a b", bad[4].second = "api_key";
  bad[5].first.tls = CloudTls{"garbage", "", "", ""}, bad[5].second = "ca_file";
  bad[6].first.breaker_failures = 0, bad[6].second = "breaker_failures";
  bad[7].first.keepalive_time = absl::ZeroDuration(), bad[7].second = "time";
  bad[8].first.connect_patience = absl::ZeroDuration(), bad[8].second = "time";
  for (const auto& [options, what] : bad) {
    const absl::Status status = MakeStub(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << what;
    EXPECT_NE(std::string(status.message()).find("\"home\""), std::string::npos) << status;
    EXPECT_NE(std::string(status.message()).find(what), std::string::npos) << status;
  }
}

// metering > retry > breaker > auth > protocol: each attempt counts for the breaker and carries the
// key, an open breaker ends the retries, and the meter counts one call.
TEST(MakeStubTest, StacksTheDecoratorsInOrder) {
  testing::FakeClock clock;
  testing::FakeTimers timers;
  auto fake = std::make_shared<testing::FakeStub>();
  fake->on_start = [](testing::FakeStub::Started& call) {
    call.sink->OnError(testing::Unavailable());
  };
  CloudOptions options;
  options.api_key = "k";
  options.retry_attempts = 10;
  options.breaker_failures = 2;
  options.clock = clock.function();
  options.uniform = [] { return 0.5; };
  options.after = timers.after();
  auto stack = StackDecorators(fake, options);
  ASSERT_TRUE(stack.ok());
  auto recorder = std::make_shared<testing::StubRecorder>();
  auto call = stack->top->Start(StubRequest(), recorder);
  while (!timers.waiting.empty()) timers.FireNext();
  EXPECT_EQ(fake->calls.size(), 2u);
  EXPECT_EQ(fake->calls[1]->request.metadata.size(), 1u);
  EXPECT_EQ(recorder->error->error.kind, CloudErrorKind::kBreakerOpen);
  EXPECT_EQ(stack->breaker->state(), Breaker::State::kOpen);
  EXPECT_EQ(stack->retries->load(), 2);
  fake->calls.clear();  // calls that were kept keep the stub that keeps them
}

// What is abandoned at the top is held against the far side in the middle and cancelled at the
// bottom; the usual wait that was measured says what a fair time is.
TEST(MakeStubTest, AbandonedCallsOpenTheBreakerAfterTwiceTheUsualWait) {
  testing::FakeClock clock;
  auto fake = std::make_shared<testing::FakeStub>();
  CloudOptions options;
  options.breaker_failures = 1;
  options.steady = clock.function();
  auto stack = StackDecorators(fake, options);
  ASSERT_TRUE(stack.ok());
  const auto start = [&] {
    return stack->top->Start(StubRequest(), std::make_shared<testing::StubRecorder>());
  };
  const auto abandon_after = [&](absl::Duration wait) {
    auto call = start();
    clock.Advance(wait);
    call->Abandon();
    EXPECT_TRUE(fake->calls.back()->abandoned);
    StubError error;
    error.error.kind = CloudErrorKind::kCancelled;
    fake->calls.back()->sink->OnError(error);
  };
  auto good = start();
  clock.Advance(absl::Seconds(10));
  fake->calls.back()->sink->OnDelta("x");
  fake->calls.back()->sink->OnFinished(testing::FinishedWith(1, 1));
  abandon_after(absl::Seconds(20));  // the patience to connect is not reached yet
  EXPECT_EQ(stack->breaker->state(), Breaker::State::kClosed);
  abandon_after(absl::Seconds(21));
  EXPECT_EQ(stack->breaker->state(), Breaker::State::kOpen);
  fake->calls.clear();
}

}  // namespace
}  // namespace nearfar
