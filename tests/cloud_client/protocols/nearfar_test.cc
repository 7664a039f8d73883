// The native protocol against servers on loopback that answer well, badly, late and never.

#include "cloud_client/protocols/nearfar.h"

#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/cloud_client/fake_inference.h"
#include "tests/cloud_client/fake_stub.h"
#include "tests/testing/held_port.h"

namespace nearfar {
namespace {

using testing::Ask;
using testing::DeltaMessage;
using testing::FakeInference;
using testing::FinishedMessage;
using testing::GenerateWriter;
using testing::HeldPort;
using testing::StartedMessage;

// Waits for the end of a call on the bare protocol.
class WaitingStubSink : public testing::StubRecorder {
 public:
  void OnDelta(const std::string& delta) override {
    StubRecorder::OnDelta(delta);
    if (!first_delta.HasBeenNotified()) first_delta.Notify();
  }
  void OnFinished(const CloudFinished& event) override {
    StubRecorder::OnFinished(event);
    over.Notify();
  }
  void OnError(const StubError& event) override {
    StubRecorder::OnError(event);
    over.Notify();
  }
  absl::Notification first_delta, over;
};

struct Outcome {
  std::shared_ptr<WaitingStubSink> sink = std::make_shared<WaitingStubSink>();
  const CloudError& error() const { return sink->error->error; }
};

std::shared_ptr<CloudStub> ProtocolFor(const std::string& target,
                                       testing::FakeTimers* timers = nullptr) {
  CloudOptions options;
  options.name = "fake";
  options.target = target;
  if (timers != nullptr) options.after = timers->after();
  auto protocol = MakeNearfarProtocol(options);
  EXPECT_TRUE(protocol.ok()) << protocol.status();
  return *protocol;
}

Outcome RunRequest(const std::string& target, CloudRequest call,
                   absl::Time deadline = absl::InfiniteFuture()) {
  Outcome outcome;
  StubRequest request;
  request.call = std::move(call);
  request.deadline = deadline;
  auto handle = ProtocolFor(target)->Start(request, outcome.sink);
  outcome.sink->over.WaitForNotification();
  EXPECT_EQ(outcome.sink->terminals, 1);
  return outcome;
}

// The sync server API tells of a cancel only when asked.
void WaitUntilCancelled(grpc::ServerContext* context) {
  while (!context->IsCancelled()) std::this_thread::yield();
}

// One call to a server that sends these messages and this status.
Outcome RunMessages(std::vector<v1::GenerateResponse> messages,
                    grpc::Status status = grpc::Status::OK) {
  FakeInference server([&](grpc::ServerContext*, const v1::GenerateRequest&, GenerateWriter* out) {
    for (const auto& message : messages) out->Write(message);
    return status;
  });
  return RunRequest(server.target(), Ask("hello"));
}

TEST(NearfarProtocolTest, CarriesTheWholeRequestAndTheWholeAnswer) {
  v1::GenerateRequest seen;
  FakeInference server(
      [&](grpc::ServerContext*, const v1::GenerateRequest& request, GenerateWriter* out) {
        seen = request;
        out->Write(StartedMessage("big", "f9"));
        out->Write(DeltaMessage("one "));
        out->Write(DeltaMessage(""));
        out->Write(DeltaMessage("two three \xF0\x9F\x98\x80"));  // several tokens in one
        out->Write(FinishedMessage(0.25));
        return grpc::Status::OK;
      });
  CloudRequest call;
  call.request_id = "r7";
  call.session_key = "s7";
  call.messages = {{"system", "be brief"}, {"user", "h\xC3\xA9"}};
  call.temperature = 0.5f;
  call.top_k = 40;
  call.top_p = 0.9f;
  call.min_p = 0.1f;
  call.repetition_penalty = 1.1f;
  call.seed = 42;
  call.max_tokens = 99;
  call.stop = {"END"};
  call.json = true;
  call.assistant_prefix = "so far";
  const Outcome outcome = RunRequest(server.target(), call);
  ASSERT_TRUE(outcome.sink->finished);
  EXPECT_EQ(outcome.sink->text, "one two three \xF0\x9F\x98\x80");
  EXPECT_EQ(outcome.sink->started->model, "big");
  EXPECT_EQ(outcome.sink->started->fingerprint, "f9");
  EXPECT_EQ(outcome.sink->finished->bill_usd, 0.25);
  EXPECT_EQ(outcome.sink->finished->completion_tokens, 3);

  EXPECT_EQ(seen.request_id(), "r7");
  EXPECT_EQ(seen.session_key(), "s7");
  ASSERT_EQ(seen.messages_size(), 2);
  EXPECT_EQ(seen.messages(1).content(), "h\xC3\xA9");
  EXPECT_EQ(seen.sampling().temperature(), 0.5f);
  EXPECT_EQ(seen.sampling().top_k(), 40);
  EXPECT_EQ(seen.sampling().top_p(), 0.9f);
  EXPECT_EQ(seen.sampling().min_p(), 0.1f);
  EXPECT_EQ(seen.sampling().repetition_penalty(), 1.1f);
  EXPECT_EQ(seen.sampling().seed(), 42u);
  EXPECT_EQ(seen.max_tokens(), 99);
  EXPECT_EQ(seen.stop(0), "END");
  EXPECT_EQ(seen.format(), v1::RESPONSE_FORMAT_JSON);
  EXPECT_EQ(seen.assistant_prefix(), "so far");
}

TEST(NearfarProtocolTest, BreachesOfTheProtocolAreNamed) {
  v1::GenerateResponse no_reason = FinishedMessage();
  no_reason.mutable_finished()->clear_reason();
  v1::GenerateResponse no_usage = FinishedMessage();
  no_usage.mutable_finished()->clear_usage();
  v1::GenerateResponse negative = FinishedMessage();
  negative.mutable_finished()->mutable_usage()->set_completion_tokens(-1);
  v1::GenerateResponse huge_usage = FinishedMessage();
  huge_usage.mutable_finished()->mutable_usage()->set_prompt_tokens(
      std::numeric_limits<int64_t>::max());
  v1::GenerateResponse long_usage = FinishedMessage();
  long_usage.mutable_finished()->mutable_usage()->set_completion_tokens(1000);
  v1::GenerateResponse huge_start = StartedMessage();
  huge_start.mutable_started()->set_prompt_tokens(std::numeric_limits<int64_t>::max());
  std::vector<v1::GenerateResponse> endless(20'000, DeltaMessage(""));
  endless[0] = StartedMessage();
  const v1::GenerateResponse text = DeltaMessage("x");
  const std::vector<std::pair<std::vector<v1::GenerateResponse>, std::string>> cases = {
      {{}, "ended early"},
      {{StartedMessage(), text}, "ended early"},
      {{text}, "before the start"},
      {{FinishedMessage()}, "before the start"},
      {{StartedMessage(), StartedMessage()}, "twice"},
      {{StartedMessage(), text, FinishedMessage(), text}, "after the finish"},
      {{StartedMessage(), text, FinishedMessage(), FinishedMessage()}, "after the finish"},
      {{StartedMessage(), text, no_reason}, "without a reason"},
      {{StartedMessage(), text, no_usage}, "without usage"},
      {{StartedMessage(), text, negative}, "negative usage"},
      {{StartedMessage(), text, FinishedMessage(-1)}, "not an amount"},
      {{StartedMessage(), text, FinishedMessage(std::nan(""))}, "not an amount"},
      {{StartedMessage(), FinishedMessage()}, "without an answer"},
      {{StartedMessage(), DeltaMessage(std::string(200 << 10, 'x'))}, "more text"},
      {{StartedMessage(), text, huge_usage}, "more usage"},
      {{StartedMessage(), text, long_usage}, "more usage"},
      {{StartedMessage(), text, FinishedMessage(1e300)}, "no such call"},
      {{huge_start}, "more prompt tokens"},
      {{StartedMessage(std::string(257, 'm'))}, "name"},
      {{StartedMessage("m", std::string(257, 'f'))}, "fingerprint"},
      {endless, "more events"},
  };
  for (const auto& [messages, what] : cases) {
    const Outcome outcome = RunMessages(messages);
    ASSERT_TRUE(outcome.sink->error) << what;
    EXPECT_EQ(outcome.error().kind, CloudErrorKind::kProtocol) << what;
    EXPECT_NE(outcome.error().message.find(what), std::string::npos) << outcome.error().message;
    EXPECT_TRUE(outcome.error().maybe_billed) << what;
    EXPECT_FALSE(outcome.sink->error->retryable) << what;
  }
}

TEST(NearfarProtocolTest, UsageThatTheTextDisprovesIsNone) {
  v1::GenerateResponse nothing = FinishedMessage(0);
  nothing.mutable_finished()->mutable_usage()->Clear();
  v1::GenerateResponse less = FinishedMessage(0.0001);
  less.mutable_finished()->mutable_usage()->set_completion_tokens(1);
  for (const v1::GenerateResponse& end : {nothing, less}) {
    const Outcome outcome =
        RunMessages({StartedMessage(), DeltaMessage("a"), DeltaMessage("b"), end});
    ASSERT_TRUE(outcome.sink->finished);
    EXPECT_EQ(outcome.sink->finished->prompt_tokens, 0);
    EXPECT_EQ(outcome.sink->finished->completion_tokens, 0);
    EXPECT_EQ(outcome.sink->finished->bill_usd, end.finished().cost_usd()) << "owed all the same";
  }
}

TEST(NearfarProtocolTest, AnAnswerThatEndsAtAStopStringMayBeEmpty) {
  FakeInference server([&](grpc::ServerContext*, const v1::GenerateRequest&, GenerateWriter* out) {
    out->Write(StartedMessage());
    out->Write(FinishedMessage());
    return grpc::Status::OK;
  });
  CloudRequest call = Ask("hello");
  call.stop = {"x"};
  EXPECT_TRUE(RunRequest(server.target(), call).sink->finished);
}

TEST(NearfarProtocolTest, AnErrorBehindTheFinish) {
  const std::vector<v1::GenerateResponse> whole = {StartedMessage(), DeltaMessage("x"),
                                                   FinishedMessage()};
  EXPECT_TRUE(RunMessages(whole, {grpc::StatusCode::UNAVAILABLE, "gone"}).sink->finished);
  EXPECT_EQ(RunMessages(whole, {grpc::StatusCode::INTERNAL, "oops"}).error().kind,
            CloudErrorKind::kProtocol);
}

// Every code that a real server may send, before and after the first event; the table itself is
// held by grpc_error_test.
TEST(NearfarProtocolTest, CodesOverTheWire) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status(static_cast<grpc::StatusCode>(code), "why");
    const Outcome before = RunMessages({}, status);
    ASSERT_TRUE(before.sink->error) << code;
    EXPECT_FALSE(before.sink->error->retryable) << code;  // it left, and nothing says unbilled
    const Outcome after = RunMessages({StartedMessage(), DeltaMessage("x")}, status);
    EXPECT_EQ(after.error().kind, before.error().kind) << code;
    EXPECT_TRUE(after.error().maybe_billed) << code;
    EXPECT_EQ(after.sink->text, "x");
  }
}

TEST(NearfarProtocolTest, PushBackAndOurOwnTrailerArrive) {
  FakeInference server(
      [&](grpc::ServerContext* context, const v1::GenerateRequest&, GenerateWriter*) {
        context->AddTrailingMetadata("nearfar-error", "unavailable");
        context->AddTrailingMetadata("grpc-retry-pushback-ms", "40");
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining");
      });
  const Outcome outcome = RunRequest(server.target(), Ask("hello"));
  EXPECT_TRUE(outcome.sink->error->retryable);
  EXPECT_FALSE(outcome.error().maybe_billed);
  EXPECT_EQ(*outcome.sink->error->push_back, absl::Milliseconds(40));
}

TEST(NearfarProtocolTest, ADeadServerCostsNothing) {
  int port;
  { port = FakeInference(nullptr).port(); }
  for (const std::string& target :
       {absl::StrCat("dns:///127.0.0.1:", port), absl::StrCat("ipv4:127.0.0.1:", port),
        absl::StrCat("127.0.0.1:", port), std::string("unix:/nonexistent/nearfar.sock")}) {
    const Outcome outcome = RunRequest(target, Ask("hello"));
    EXPECT_EQ(outcome.error().kind, CloudErrorKind::kUnavailable) << target;
    EXPECT_FALSE(outcome.error().maybe_billed) << target;
    EXPECT_TRUE(outcome.error().nothing_sent) << target;
    EXPECT_FALSE(outcome.sink->error->retryable) << target;
  }
}

class SilentPlaces {
 public:
  SilentPlaces() { full_.FillQueue(); }
  std::vector<std::string> targets() const {
    return {"dns:///" + silent_.address(), "dns:///" + full_.address(),
            absl::StrCat("dns://", nameserver_.address(), "/far.example:7443")};
  }

 private:
  HeldPort silent_{SOCK_STREAM}, full_{SOCK_STREAM}, nameserver_{SOCK_DGRAM};
};

TEST(NearfarProtocolTest, ACallWaitsSoLongForAConnectionAndNoLonger) {
  const SilentPlaces places;
  for (const std::string& target : places.targets()) {
    SCOPED_TRACE(target);
    testing::FakeTimers timers;
    auto protocol = ProtocolFor(target, &timers);
    auto sink = std::make_shared<WaitingStubSink>();
    StubRequest request;
    request.call = Ask("hello");
    auto call = protocol->Start(request, sink);
    ASSERT_EQ(timers.delays, std::vector<absl::Duration>{absl::Seconds(1)});
    timers.FireNext();
    sink->over.WaitForNotification();
    EXPECT_EQ(sink->error->error.kind, CloudErrorKind::kUnavailable);
    EXPECT_EQ(sink->error->error.message, "no connection within 1s");
    EXPECT_FALSE(sink->error->error.maybe_billed);
    EXPECT_TRUE(sink->error->error.nothing_sent);
    EXPECT_FALSE(sink->error->retryable);
    EXPECT_FALSE(sink->error->answered);  // the breaker counts it
  }
}

TEST(NearfarProtocolTest, WhatNeverConnectedCostsNothingHoweverItEnds) {
  const SilentPlaces places;
  for (const std::string& target : places.targets()) {
    SCOPED_TRACE(target);
    const Outcome late = RunRequest(target, Ask("hello"), absl::Now() + absl::Milliseconds(20));
    EXPECT_EQ(late.error().kind, CloudErrorKind::kDeadline);
    EXPECT_FALSE(late.error().maybe_billed);
    EXPECT_TRUE(late.error().nothing_sent);

    auto sink = std::make_shared<WaitingStubSink>();
    StubRequest request;
    request.call = Ask("hello");
    auto call = ProtocolFor(target)->Start(request, sink);
    call->Cancel();
    sink->over.WaitForNotification();
    EXPECT_EQ(sink->error->error.kind, CloudErrorKind::kCancelled);
    EXPECT_FALSE(sink->error->error.maybe_billed);
  }
}

TEST(NearfarProtocolTest, ACallThatIsUnderWayIsNotGivenUp) {
  absl::Notification arrived[2], go[2];
  std::atomic<int> calls{0};
  FakeInference server([&](grpc::ServerContext*, const v1::GenerateRequest&, GenerateWriter* out) {
    const int i = calls++;
    arrived[i].Notify();
    go[i].WaitForNotification();
    out->Write(StartedMessage());
    out->Write(DeltaMessage("x"));
    out->Write(FinishedMessage());
    return grpc::Status::OK;
  });
  testing::FakeTimers timers;
  auto protocol = ProtocolFor(server.target(), &timers);
  StubRequest request;
  request.call = Ask("hello");
  for (int i = 0; i < 2; ++i) {
    auto sink = std::make_shared<WaitingStubSink>();
    auto call = protocol->Start(request, sink);
    arrived[i].WaitForNotification();
    // The second call finds a connection, and has no timer for it.
    EXPECT_EQ(timers.waiting.size(), i == 0 ? 1u : 0u);
    if (i == 0) timers.FireNext();
    go[i].Notify();
    sink->over.WaitForNotification();
    EXPECT_TRUE(sink->finished);
    while (!timers.waiting.empty()) timers.FireNext();  // after the end, nothing is left to end
  }
}

TEST(NearfarProtocolTest, AFinishedAnswerDoesNotWaitForTheStreamsEnd) {
  FakeInference server(
      [&](grpc::ServerContext* context, const v1::GenerateRequest&, GenerateWriter* out) {
        out->Write(StartedMessage());
        out->Write(DeltaMessage("whole"));
        out->Write(FinishedMessage(0.25));
        WaitUntilCancelled(context);
        return grpc::Status::CANCELLED;
      });
  testing::FakeTimers timers;
  auto sink = std::make_shared<WaitingStubSink>();
  StubRequest request;
  request.call = Ask("hello");
  auto call = ProtocolFor(server.target(), &timers)->Start(request, sink);
  timers.AwaitWaiting(2);  // for the connection, and for the end
  EXPECT_EQ(timers.delays[1], absl::Seconds(1));
  timers.FireNext();
  timers.FireNext();
  sink->over.WaitForNotification();
  ASSERT_TRUE(sink->finished);
  EXPECT_EQ(sink->text, "whole");
  EXPECT_EQ(sink->finished->bill_usd, 0.25);
}

TEST(NearfarProtocolTest, AServerThatHangsIsLeftAtTheDeadlineAndMayBill) {
  std::atomic<bool> reached = false;
  absl::Notification cancelled;
  FakeInference server(
      [&](grpc::ServerContext* context, const v1::GenerateRequest&, GenerateWriter*) {
        EXPECT_LT(context->deadline(), std::chrono::system_clock::now() + std::chrono::hours(1));
        const bool first = !reached.exchange(true);
        WaitUntilCancelled(context);
        if (first) cancelled.Notify();
        return grpc::Status::CANCELLED;
      });
  // On a busy machine a deadline may pass before the server hears of the call: then a longer one.
  for (absl::Duration patience = absl::Milliseconds(100); !reached; patience *= 2) {
    const Outcome outcome = RunRequest(server.target(), Ask("hello"), absl::Now() + patience);
    EXPECT_EQ(outcome.error().kind, CloudErrorKind::kDeadline);
    if (!reached) continue;
    EXPECT_TRUE(outcome.error().maybe_billed);
    EXPECT_FALSE(outcome.sink->error->answered);
  }
  cancelled.WaitForNotification();  // the deadline reached the server
}

TEST(NearfarProtocolTest, CancelReachesTheServerAndEndsOnce) {
  for (bool drop : {false, true}) {
    absl::Notification cancelled;
    FakeInference server(
        [&](grpc::ServerContext* context, const v1::GenerateRequest&, GenerateWriter* out) {
          out->Write(StartedMessage());
          out->Write(DeltaMessage("x"));
          WaitUntilCancelled(context);
          cancelled.Notify();
          return grpc::Status::CANCELLED;
        });
    auto sink = std::make_shared<WaitingStubSink>();
    StubRequest request;
    request.call = Ask("hello");
    auto handle = ProtocolFor(server.target())->Start(request, sink);
    sink->first_delta.WaitForNotification();
    if (drop) handle.reset();
    if (!drop) handle->Cancel();
    sink->over.WaitForNotification();
    EXPECT_EQ(sink->error->error.kind, CloudErrorKind::kCancelled);
    EXPECT_TRUE(sink->error->error.maybe_billed);
    cancelled.WaitForNotification();
  }
}

TEST(NearfarProtocolTest, BadRequestsDoNotLeave) {
  FakeInference server([&](grpc::ServerContext*, const v1::GenerateRequest&, GenerateWriter*) {
    return grpc::Status::OK;
  });
  std::vector<CloudRequest> bad(5, Ask("hello"));
  bad[0].messages[0].content = "\xFF";
  bad[1].stop = {"\xC3"};
  bad[2].assistant_prefix = "\x80";
  bad[3].session_key = "\xFF";
  for (int i = 0; i < 4; ++i) {
    const Outcome outcome = RunRequest(server.target(), bad[i]);
    EXPECT_EQ(outcome.error().kind, CloudErrorKind::kBadRequest);
    EXPECT_FALSE(outcome.error().maybe_billed);
  }
  bad[4].messages[0].content = std::string(5 << 20, 'x');
  EXPECT_EQ(RunRequest(server.target(), bad[4]).error().kind, CloudErrorKind::kContextTooLong);
  EXPECT_EQ(server.calls.load(), 0);
}

// protobuf writes such a message, complains in the log, and refuses to read it again.
TEST(NearfarProtocolTest, TextThatIsNotUtf8IsABreach) {
  const Outcome outcome = RunMessages({StartedMessage(), DeltaMessage("\xFF"), FinishedMessage()});
  ASSERT_TRUE(outcome.sink->error);
  EXPECT_EQ(outcome.sink->text, "");
  EXPECT_EQ(outcome.error().kind, CloudErrorKind::kProtocol);
  EXPECT_TRUE(outcome.error().maybe_billed);
}

}  // namespace
}  // namespace nearfar
