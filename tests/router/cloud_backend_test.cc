// Holds router/cloud_backend.h: the two sides' words for the same things, and what a policy's far
// targets need before they can be called.

#include "router/cloud_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "absl/synchronization/notification.h"
#include "tests/cloud_client/fake_stub.h"
#include "tests/testing/held_port.h"
#include "tests/testing/router_bench.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

using ::testing::HasSubstr;

class FakeClient : public CloudClient {
 public:
  struct FakeCall : CloudCall {
    FakeCall(bool* cancelled, bool* abandoned) : cancelled(cancelled), abandoned(abandoned) {}
    ~FakeCall() override { *cancelled = true; }
    void Cancel() override { *cancelled = true; }
    void Abandon() override { *abandoned = true; }
    bool* cancelled;
    bool* abandoned;
  };

  std::unique_ptr<CloudCall> Start(CloudRequest asked, absl::Time until,
                                   std::shared_ptr<CloudSink> to) override {
    request = std::move(asked);
    deadline = until;
    sink = std::move(to);
    return std::make_unique<FakeCall>(&cancelled, &abandoned);
  }
  CloudHealth health() const override { return state; }
  absl::StatusOr<CloudModel> GetModel(absl::Time) override { return absl::UnimplementedError(""); }
  std::optional<CloudModel> known_model() const override { return known; }

  CloudRequest request;
  absl::Time deadline;
  std::shared_ptr<CloudSink> sink;
  bool cancelled = false, abandoned = false;
  CloudHealth state;
  std::optional<CloudModel> known;
};

struct Recorder : BackendSink {
  void OnStarted(const BackendStarted& event) override { started = event; }
  void OnDelta(const BackendDelta& event) override { text += event.text; }
  void OnFinished(const BackendFinished& event) override { finished = event; }
  void OnError(const BackendError& event) override { error = event; }
  std::optional<BackendStarted> started;
  std::string text;
  std::optional<BackendFinished> finished;
  std::optional<BackendError> error;
};

FarConfig Home() {
  FarConfig config;
  config.name = "home";
  config.target = "unix:/nowhere";
  config.model = "asked-for";
  config.context_tokens = 1000;
  config.input_usd_per_mtok = 1;
  return config;
}

TEST(CloudBackend, ARequestCrossesWhole) {
  auto client = std::make_shared<FakeClient>();
  auto backend = MakeCloudBackend(client, Home());
  BackendRequest request;
  request.request_id = "r";
  request.session_key = "s";
  request.messages = {{"system", "be brief"}, {"user", "hi"}};
  request.sampling = {.temperature = 0.5f,
                      .top_k = 3,
                      .top_p = 0.9f,
                      .min_p = 0.1f,
                      .repetition_penalty = 1.1f,
                      .seed = 7};
  request.max_tokens = 99;
  request.stop = {"END"};
  request.format = ResponseFormat::kJson;
  request.assistant_prefix = "So far";
  auto events = std::make_shared<Recorder>();
  auto call = backend->Start(request, absl::FromUnixSeconds(5), events);
  EXPECT_EQ(client->request.request_id, "r");
  EXPECT_EQ(client->request.session_key, "s");
  ASSERT_EQ(client->request.messages.size(), 2u);
  EXPECT_EQ(client->request.messages[1].content, "hi");
  EXPECT_EQ(client->request.temperature, 0.5f);
  EXPECT_EQ(client->request.top_k, 3);
  EXPECT_EQ(client->request.top_p, 0.9f);
  EXPECT_EQ(client->request.min_p, 0.1f);
  EXPECT_EQ(client->request.repetition_penalty, 1.1f);
  EXPECT_EQ(client->request.seed, 7u);
  EXPECT_EQ(client->request.max_tokens, 99);
  EXPECT_EQ(client->request.stop, std::vector<std::string>{"END"});
  EXPECT_TRUE(client->request.json);
  EXPECT_EQ(client->request.assistant_prefix, "So far");
  EXPECT_EQ(client->deadline, absl::FromUnixSeconds(5));
}

TEST(CloudBackend, EventsCrossBack) {
  auto client = std::make_shared<FakeClient>();
  auto backend = MakeCloudBackend(client, Home());
  auto events = std::make_shared<Recorder>();
  auto call = backend->Start({}, absl::InfiniteFuture(), events);
  client->sink->OnStarted({"m", "f", 12});
  client->sink->OnDelta("te");
  client->sink->OnDelta("xt");
  client->sink->OnFinished({CloudFinishReason::kLength, 12, 2, 3, 0.5});
  EXPECT_EQ(events->started->model, "m");
  EXPECT_EQ(events->text, "text");
  EXPECT_EQ(events->finished->reason, FinishReason::kLength);
  EXPECT_EQ(events->finished->usage.completion_tokens, 2);
  EXPECT_EQ(events->finished->usage.cached_prompt_tokens, 3);
  EXPECT_EQ(events->finished->cost_usd, 0.5);
  call->Abandon();
  EXPECT_TRUE(client->abandoned);
  EXPECT_FALSE(client->cancelled);
  call.reset();
  EXPECT_TRUE(client->cancelled);
}

TEST(CloudBackend, ACostThatIsUnknownStaysSo) {
  auto client = std::make_shared<FakeClient>();
  auto events = std::make_shared<Recorder>();
  auto call = MakeCloudBackend(client, Home())->Start({}, absl::InfiniteFuture(), events);
  client->sink->OnFinished({});
  ASSERT_TRUE(events->finished);
  EXPECT_FALSE(events->finished->cost_usd);
}

TEST(CloudBackend, ErrorsKeepTheirKindAndNameTheTarget) {
  const std::pair<CloudErrorKind, ErrorKind> kinds[] = {
      {CloudErrorKind::kUnavailable, ErrorKind::kUnavailable},
      {CloudErrorKind::kBreakerOpen, ErrorKind::kUnavailable},
      {CloudErrorKind::kDeadline, ErrorKind::kDeadline},
      {CloudErrorKind::kCancelled, ErrorKind::kCancelled},
      {CloudErrorKind::kAuth, ErrorKind::kAuth},
      {CloudErrorKind::kBadRequest, ErrorKind::kBadRequest},
      {CloudErrorKind::kNotFound, ErrorKind::kNotFound},
      {CloudErrorKind::kContextTooLong, ErrorKind::kContextTooLong},
      {CloudErrorKind::kRateLimited, ErrorKind::kRateLimited},
      {CloudErrorKind::kQuota, ErrorKind::kQuota},
      {CloudErrorKind::kContentFiltered, ErrorKind::kContentFiltered},
      {CloudErrorKind::kProtocol, ErrorKind::kProtocol},
      {CloudErrorKind::kInternal, ErrorKind::kInternal},
  };
  for (auto [theirs, ours] : kinds) {
    auto client = std::make_shared<FakeClient>();
    auto events = std::make_shared<Recorder>();
    auto call = MakeCloudBackend(client, Home())->Start({}, absl::InfiniteFuture(), events);
    client->sink->OnError({theirs, "why", true});
    EXPECT_EQ(events->error->kind, ours);
    EXPECT_TRUE(events->error->maybe_billed);
    EXPECT_FALSE(events->error->status.ok());
    EXPECT_THAT(std::string(events->error->status.message()), HasSubstr("'home'"));
  }
}

TEST(CloudBackend, DescribesWhatIsKnown) {
  auto client = std::make_shared<FakeClient>();
  auto backend = MakeCloudBackend(client, Home());
  EXPECT_EQ(backend->Describe().model, "asked-for");
  EXPECT_EQ(backend->Describe().capabilities.context_tokens, 1000);
  EXPECT_EQ(backend->Describe().capabilities.continuation, Continuation::kExact);
  EXPECT_EQ(backend->health(), Health::kUnknown);
  client->known = CloudModel{"served", "print", "Q4_K", 2048, 0, 0};
  client->state.state = CloudHealth::State::kBreakerOpen;
  client->state.ttft_seconds = 0.4;
  EXPECT_EQ(backend->Describe().model, "served");
  EXPECT_EQ(backend->Describe().binding.fingerprint, "print");
  EXPECT_EQ(backend->Describe().capabilities.context_tokens, 2048);
  EXPECT_EQ(backend->health(), Health::kBreakerOpen);
  EXPECT_EQ(backend->speed().ttft_seconds, 0.4);
}

TEST(CloudBackend, OnlyWhatIsKnownNotToHaveLeftIsTold) {
  for (bool nothing_sent : {false, true}) {
    auto client = std::make_shared<FakeClient>();
    auto events = std::make_shared<Recorder>();
    auto call = MakeCloudBackend(client, Home())->Start({}, absl::InfiniteFuture(), events);
    client->sink->OnError({CloudErrorKind::kUnavailable, "why", false, nothing_sent});
    EXPECT_EQ(events->error->nothing_sent, nothing_sent);
  }
}

// Tells of its end.
class EndSink : public CloudSink {
 public:
  void OnDelta(const std::string&) override {}
  void OnFinished(const CloudFinished&) override { over.Notify(); }
  void OnError(const CloudError&) override { over.Notify(); }
  absl::Notification over;
};

// While another query tries a far side whose breaker was open, a draft is not given up for it.
class ProbedFarTest : public testing::RouterBench {
 protected:
  ProbedFarTest() {
    CloudOptions options;
    options.name = "home";
    options.target = "dns:///" + port_.address();
    options.steady = clock.function();
    options.after = timers_.after();
    options.breaker_failures = 1;
    client_ = *CloudClient::Create(options);
    real_far_sides["home"] = MakeCloudBackend(client_, Home());
    CallUnanswered();
    timers_.FireNext();
    calls_.back().second->over.WaitForNotification();
    clock.Advance(options.breaker_open);
  }
  ~ProbedFarTest() override {
    for (const auto& [call, sink] : calls_) {
      call->Cancel();
      sink->over.WaitForNotification();
    }
  }
  void CallUnanswered() {
    auto sink = std::make_shared<EndSink>();
    calls_.emplace_back(client_->Start({}, absl::InfiniteFuture(), sink), sink);
  }

  testing::HeldPort port_{SOCK_STREAM};
  testing::FakeTimers timers_;
  std::shared_ptr<CloudClient> client_;
  std::vector<std::pair<std::unique_ptr<CloudCall>, std::shared_ptr<EndSink>>> calls_;
};

TEST_F(ProbedFarTest, LeavesTheDraftAlone) {
  EXPECT_EQ(real_far_sides["home"]->health(), Health::kUnknown) << "the next call is the probe";
  CallUnanswered();
  EXPECT_EQ(real_far_sides["home"]->health(), Health::kBreakerOpen);
  ExitAfter(2);
  auto events = Start(Ask("q"));
  near->last().SayWords("my own words").Finish();
  EXPECT_FALSE(near->last().cancelled());
  EXPECT_EQ(near->calls(), 1);
  ASSERT_TRUE(events->finished());
  EXPECT_EQ(events->finished()->text, "my own words");
}

// A call that found no connection sent nothing, and the record says so.
TEST_F(ProbedFarTest, WhatNeverConnectedIsNoEgress) {
  policy->choose = [](const Signals& signals) {
    const bool up = signals.far[0].health != Health::kUnreachable;
    return up ? To(Route::kFar, Reason::kFixed, "home") : To(Route::kRefuse, Reason::kOffline);
  };
  auto events = Start(Ask("q"));
  timers_.FireNext();
  events->WaitForEnd();
  EXPECT_TRUE(events->failed());
  EXPECT_EQ(Records()[0].egress_bytes, 0);
}

TEST(MakeCloudOptions, WhatIsMissingIsNamedAndNoSecretIs) {
  testing::TempDir dir;
  FarConfig config = Home();
  const auto make = [&] { return MakeCloudOptions(config, [] { return absl::UnixEpoch(); }); };
  config.api_key = "env:NEARFAR_TEST_NO_SUCH_KEY";
  auto missing = make();
  EXPECT_TRUE(absl::IsNotFound(missing.status()));
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("'home'"));
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("NEARFAR_TEST_NO_SUCH_KEY"));

  config.api_key = "file:" + dir.File("key");
  EXPECT_TRUE(absl::IsNotFound(make().status()));
  std::ofstream(dir.File("key")) << "hunter2\n";
  EXPECT_TRUE(make().ok());

  config.api_key = "hunter2";
  auto literal = make();
  EXPECT_TRUE(absl::IsInvalidArgument(literal.status()));
  EXPECT_EQ(literal.status().message().find("hunter2"), std::string::npos);

  config.api_key = "";
  config.tls =
      TlsConfig{.ca_file = dir.File("ca.pem"), .cert_file = "", .key_file = "", .server_name = ""};
  auto no_ca = make();
  EXPECT_TRUE(absl::IsNotFound(no_ca.status()));
  EXPECT_THAT(std::string(no_ca.status().message()), HasSubstr("ca.pem"));
}

TEST(MakeCloudOptions, TheUsualWaitComesFromThePolicy) {
  FarConfig config = Home();
  config.expected_ttft_seconds = 7;
  auto options = MakeCloudOptions(config, [] { return absl::UnixEpoch(); });
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->expected_ttft, absl::Seconds(7));
}

}  // namespace
}  // namespace nearfar
