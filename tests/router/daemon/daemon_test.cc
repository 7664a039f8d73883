// Daemons in this process, a near one and a far one, over mutual TLS on loopback: answers,
// failures, disconnects, limits, health, reflection and hostile bytes.

#include "router/daemon/daemon.h"

#include <arpa/inet.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "cloud_client/cloud_client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policies/policy_file.h"
#include "tests/cloud_client/fake_inference.h"
#include "tests/router/daemon/daemon_bench.h"

namespace nearfar::daemon {
namespace {

using testing::AskRouter;
using testing::DaemonBench;
using testing::Heard;
using testing::Question;
using testing::RouterHealth;

constexpr char kFixedNear[] = "choose: {kind: fixed, route: near}\n";
constexpr char kFixedFar[] = "choose: {kind: fixed, route: far}\nbudget: {limit_usd: 10}\n";

class DaemonTest : public ::testing::Test {
 protected:
  // The far process: the inference service behind mutual TLS.
  DaemonConfig FarConfig(const std::string& model) {
    DaemonConfig config;
    config.listen.push_back(
        {"127.0.0.1:0",
         ListenTls{bench_.certs().server_crt, bench_.certs().server_key, bench_.certs().ca}});
    config.serve_router = false;
    config.serve_inference = true;
    config.model_path = model;
    config.threads = 1;
    config.input_usd_per_mtok = 100;
    config.output_usd_per_mtok = 200;
    return config;
  }
  // The device's process: the router on a Unix socket.
  DaemonConfig NearConfig(const std::string& far_target, const std::string& policy) {
    DaemonConfig config;
    config.listen.push_back({absl::StrCat("unix:", bench_.File("near.sock")), std::nullopt});
    config.model_path = bench_.quick_model();
    config.threads = 1;
    config.policy_path = bench_.WritePolicy("policy.yaml", far_target, policy);
    absl::StatusOr<PolicyConfig> loaded = LoadPolicyFile(config.policy_path);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    if (loaded.ok()) config.policy = *std::move(loaded);
    config.state_dir = bench_.File("state");
    return config;
  }
  std::unique_ptr<Daemon> Run(DaemonConfig config) {
    absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start(std::move(config));
    EXPECT_TRUE(daemon.ok()) << daemon.status();
    return daemon.ok() ? *std::move(daemon) : nullptr;
  }
  std::shared_ptr<grpc::Channel> ToNear() {
    return bench_.Connect("unix:" + bench_.File("near.sock"));
  }
  static std::string Target(const Daemon& daemon) { return "dns:///" + daemon.addresses()[0]; }

  DaemonBench bench_;
};

// Waits without sleeping for a counter that another thread moves.
template <typename Predicate>
void WaitUntil(Predicate predicate) {
  const absl::Time patience = absl::Now() + absl::Seconds(120);
  while (!predicate()) {
    ASSERT_LT(absl::Now(), patience);
    std::this_thread::yield();
  }
}

TEST_F(DaemonTest, AnswersNearAndFar) {
  auto far = Run(FarConfig(bench_.quick_model()));
  auto near = Run(NearConfig(Target(*far), kFixedFar));
  ASSERT_TRUE(far && near);

  const Heard home = AskRouter(ToNear(), Question("What is 2 + 2?", v1::ROUTE_NEAR));
  ASSERT_TRUE(home.finished()) << home.status.error_message();
  EXPECT_TRUE(home.events[0].has_started());
  EXPECT_EQ(home.last().finished().source(), "near");
  EXPECT_EQ(home.last().finished().decision().reason(), "request");
  EXPECT_EQ(home.last().finished().cost_usd(), 0);
  EXPECT_FALSE(home.last().finished().flagged());
  EXPECT_GT(home.last().finished().near_usage().completion_tokens(), 0);
  EXPECT_FALSE(home.last().finished().decision().policy_revision().empty());
  EXPECT_EQ(far->engine()->stats().generations_finished, 0);

  const Heard away = AskRouter(ToNear(), Question("What is 2 + 2?"));
  ASSERT_TRUE(away.finished()) << away.status.error_message();
  EXPECT_EQ(away.last().finished().source(), "home");
  EXPECT_EQ(away.last().finished().decision().reason(), "fixed");
  EXPECT_EQ(far->engine()->stats().generations_finished, 1);
  const v1::Usage usage = away.last().finished().far_usage();
  EXPECT_GT(usage.completion_tokens(), 0);
  EXPECT_NEAR(away.last().finished().cost_usd(),
              (usage.prompt_tokens() * 100 + usage.completion_tokens() * 200) / 1e6, 1e-9);
  // The same model on both sides says the same.
  EXPECT_EQ(home.text, away.text);
  EXPECT_FALSE(home.text.empty());
}

// A far side that has no price of its own sends no bill; the policy's price counts.
TEST_F(DaemonTest, AFarSideWithoutAPriceIsBilledByThePolicy) {
  DaemonConfig config = FarConfig(bench_.quick_model());
  config.input_usd_per_mtok = config.output_usd_per_mtok = 0;
  auto far = Run(std::move(config));
  auto near = Run(NearConfig(Target(*far), kFixedFar));
  ASSERT_TRUE(far && near);
  const Heard away = AskRouter(ToNear(), Question("What is 2 + 2?"));
  ASSERT_TRUE(away.finished()) << away.status.error_message();
  const v1::Usage usage = away.last().finished().far_usage();
  EXPECT_NEAR(away.last().finished().cost_usd(),
              (usage.prompt_tokens() * 100 + usage.completion_tokens() * 200) / 1e6, 1e-9);
}

TEST_F(DaemonTest, ADeadFarSideIsAnsweredNearAndFlagged) {
  auto far = Run(FarConfig(bench_.quick_model()));
  auto near = Run(NearConfig(Target(*far), kFixedFar));
  ASSERT_TRUE(far && near);
  EXPECT_EQ(AskRouter(ToNear(), Question("x")).last().finished().source(), "home");
  far.reset();
  for (int i = 0; i < 6; ++i) {  // through failures and then an open breaker
    const Heard heard = AskRouter(ToNear(), Question("x"));
    ASSERT_TRUE(heard.finished()) << heard.status.error_message();
    EXPECT_EQ(heard.last().finished().source(), "near");
    EXPECT_TRUE(heard.last().finished().flagged());
  }
  EXPECT_EQ(RouterHealth(ToNear()).far(0).state(), "breaker_open");
}

TEST_F(DaemonTest, AFarSideThatDiesInMidStreamIsAnsweredNearAndFlagged) {
  grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_root_certs = bench_.certs().ca;
  tls.pem_key_cert_pairs.push_back({bench_.certs().server_key, bench_.certs().server_crt});
  absl::Notification in_mid_stream;
  auto far = std::make_unique<testing::FakeInference>(
      [&](grpc::ServerContext* context, const v1::GenerateRequest&, testing::GenerateWriter* out) {
        out->Write(testing::StartedMessage());
        out->Write(testing::DeltaMessage("The answer "));
        in_mid_stream.Notify();
        while (!context->IsCancelled()) std::this_thread::yield();
        return grpc::Status::CANCELLED;
      },
      grpc::SslServerCredentials(tls));
  auto near = Run(NearConfig(far->target(), kFixedFar));
  ASSERT_TRUE(near);
  std::thread killer([&] {
    in_mid_stream.WaitForNotification();
    far.reset();
  });
  const Heard heard = AskRouter(ToNear(), Question("x"));
  killer.join();
  ASSERT_TRUE(heard.finished()) << heard.status.error_message();
  EXPECT_EQ(heard.last().finished().source(), "near");
  EXPECT_TRUE(heard.last().finished().flagged());
}

TEST_F(DaemonTest, AClientThatGoesAwayStopsTheNearModel) {
  DaemonConfig config = NearConfig("", kFixedNear);
  config.model_path = bench_.slow_model();
  auto near = Run(std::move(config));
  ASSERT_TRUE(near);
  v1::RoutedRequest request = Question("talk");
  request.set_max_tokens(3500);
  const Heard heard = AskRouter(ToNear(), request, [](const auto&, auto* context) {
    context->TryCancel();  // at the first event
  });
  EXPECT_EQ(heard.status.error_code(), grpc::StatusCode::CANCELLED);
  WaitUntil([&] { return near->engine()->stats().live_generations == 0; });
  WaitUntil([&] { return near->active_calls() == 0; });
  const EngineStats stats = near->engine()->stats();
  EXPECT_EQ(stats.generations_cancelled, 1);
  EXPECT_EQ(stats.live_sessions, 0);
  EXPECT_EQ(stats.live_kv_bytes, 0);
  EXPECT_LT(stats.decode_tokens, 3500);
}

TEST_F(DaemonTest, AClientThatGoesAwayCancelsTheUpstreamCall) {
  auto far = Run(FarConfig(bench_.slow_model()));
  auto near = Run(NearConfig(Target(*far), kFixedFar));
  ASSERT_TRUE(far && near);
  v1::RoutedRequest request = Question("talk");
  request.set_max_tokens(3500);
  bool cancelled = false;
  std::thread watcher;
  const Heard heard = AskRouter(ToNear(), request, [&](const auto&, grpc::ClientContext* context) {
    if (std::exchange(cancelled, true)) return;
    // Only when the far side really works for this call.
    WaitUntil([&] { return far->engine()->stats().decode_tokens > 0; });
    context->TryCancel();
  });
  EXPECT_EQ(heard.status.error_code(), grpc::StatusCode::CANCELLED);
  WaitUntil([&] { return far->engine()->stats().generations_cancelled == 1; });
  WaitUntil([&] { return far->active_calls() == 0 && near->active_calls() == 0; });
  EXPECT_LT(far->engine()->stats().decode_tokens, 3500);
  EXPECT_EQ(far->engine()->stats().live_kv_bytes, 0);
  // What was cancelled may be billed: its reservation is spent.
  EXPECT_GT(RouterHealth(ToNear()).budget_spent_usd(), 0);
}

TEST_F(DaemonTest, TheServersOwnDeadlineEndsACall) {
  DaemonConfig config = NearConfig("", kFixedNear);
  config.model_path = bench_.slow_model();
  config.max_timeout = config.default_timeout = absl::Milliseconds(200);
  auto near = Run(std::move(config));
  ASSERT_TRUE(near);
  v1::RoutedRequest request = Question("talk");
  request.set_max_tokens(3500);
  const Heard heard = AskRouter(ToNear(), request);
  EXPECT_EQ(heard.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  WaitUntil([&] { return near->engine()->stats().live_generations == 0; });
}

TEST_F(DaemonTest, BadRequestsAreRefusedByName) {
  auto near = Run(NearConfig("", kFixedNear));
  ASSERT_TRUE(near);
  v1::RoutedRequest request = Question("x");
  request.mutable_messages(0)->set_role("root");
  Heard heard = AskRouter(ToNear(), request);
  EXPECT_EQ(heard.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(heard.status.error_message(), ::testing::HasSubstr("messages[0].role"));
  EXPECT_EQ(heard.last().failed().reason(), "INVALID_ARGUMENT");
  EXPECT_EQ(heard.last().failed().message(), heard.status.error_message());
  heard = AskRouter(ToNear(), Question(std::string(2 << 20, 'x')));
  EXPECT_EQ(heard.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(heard.status.error_message(), ::testing::HasSubstr("larger than max"));
  // What gRPC itself cannot read never reaches us.
  heard = AskRouter(ToNear(), Question("\xff"));
  EXPECT_EQ(heard.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  // Longer than the context: a typed end, one only.
  heard = AskRouter(ToNear(), Question(std::string(100000, 'x')));
  EXPECT_FALSE(heard.status.ok());
  int terminals = 0;
  for (const auto& event : heard.events) terminals += event.has_finished() || event.has_failed();
  EXPECT_EQ(terminals, 1);
}

void ExpectRefusedAsFull(const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  EXPECT_EQ(trailers.count("grpc-retry-pushback-ms"), 1u);
  ASSERT_EQ(trailers.count("nearfar-error"), 1u);
  EXPECT_EQ(trailers.find("nearfar-error")->second, "rate_limited");
}

TEST_F(DaemonTest, BeyondTheLimitCallsAreRefusedAndToldWhenToComeBack) {
  DaemonConfig config = NearConfig("", kFixedNear);
  config.model_path = bench_.slow_model();
  config.max_active = 1;
  auto near = Run(std::move(config));
  ASSERT_TRUE(near);
  v1::RoutedRequest request = Question("talk");
  request.set_max_tokens(3500);
  bool asked = false;
  AskRouter(ToNear(), request, [&](const auto&, grpc::ClientContext* context) {
    if (std::exchange(asked, true)) return;
    grpc::ClientContext second;
    const auto channel = ToNear();
    const auto reader = v1::RouterService::NewStub(channel)->Generate(&second, Question("x"));
    v1::RoutedResponse response;
    ASSERT_TRUE(reader->Read(&response));
    EXPECT_EQ(response.failed().reason(), "RESOURCE_EXHAUSTED");
    EXPECT_FALSE(reader->Read(&response));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    ExpectRefusedAsFull(second);
    grpc::ClientContext third;
    v1::ExplainResponse explained;
    EXPECT_EQ(v1::RouterService::NewStub(channel)
                  ->Explain(&third, Question("x"), &explained)
                  .error_code(),
              grpc::StatusCode::RESOURCE_EXHAUSTED);
    ExpectRefusedAsFull(third);
    grpc::ClientContext fourth;
    v1::ClearTaintRequest of_session;
    of_session.set_session_key("alice");
    v1::ClearTaintResponse cleared;
    EXPECT_EQ(
        v1::RouterService::NewStub(channel)->ClearTaint(&fourth, of_session, &cleared).error_code(),
        grpc::StatusCode::RESOURCE_EXHAUSTED);
    // An operator is not locked out.
    grpc::ClientContext fifth;
    v1::ReloadPolicyResponse reloaded;
    EXPECT_TRUE(v1::RouterService::NewStub(channel)->ReloadPolicy(&fifth, {}, &reloaded).ok());
    context->TryCancel();
  });
  EXPECT_TRUE(asked);
}

TEST_F(DaemonTest, ExplainTellsWithoutAnswering) {
  auto near = Run(NearConfig("", kFixedNear));
  ASSERT_TRUE(near);
  grpc::ClientContext context;
  v1::ExplainResponse response;
  const auto channel = ToNear();
  const grpc::Status status =
      v1::RouterService::NewStub(channel)->Explain(&context, Question("x"), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.decision().route(), v1::ROUTE_NEAR);
  EXPECT_EQ(near->engine()->stats().prefill_tokens, 0);
}

TEST_F(DaemonTest, ClearTaintEndsASessionsTaintAndRefusesWhatIsNoKey) {
  auto near = Run(NearConfig("unix:/nonexistent/far.sock",
                             absl::StrCat(kFixedFar,
                                          "rules: [{name: keep, when: {keyword: [password]}, "
                                          "then: {route: near, taint: session}}]\n")));
  ASSERT_TRUE(near);
  const auto stub = v1::RouterService::NewStub(ToNear());
  const auto clear = [&](const std::string& key) {
    grpc::ClientContext context;
    v1::ClearTaintRequest request;
    request.set_session_key(key);
    v1::ClearTaintResponse response;
    return stub->ClearTaint(&context, request, &response).error_code();
  };
  const auto reason = [&](const std::string& text) {
    v1::RoutedRequest request = Question(text);
    request.set_session_key("alice");
    return AskRouter(ToNear(), request).last().finished().decision().reason();
  };
  EXPECT_EQ(reason("my password is x"), "tainted");
  EXPECT_EQ(reason("hello"), "tainted");
  EXPECT_EQ(clear("alice"), grpc::StatusCode::OK);
  EXPECT_EQ(reason("hello"), "far_failed");
  EXPECT_EQ(clear(""), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(clear(std::string(257, 'a')), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(DaemonTest, NeitherALogNorATaintFileThatIsDamagedStopsNear) {
  DaemonConfig config = NearConfig("", kFixedNear);
  std::filesystem::create_directory(config.state_dir);
  bench_.Write("state/decisions.db", std::string(5000, 'x'));
  bench_.Write("state/taint.db", std::string(5000, 'x'));
  auto near = Run(config);
  ASSERT_TRUE(near);
  EXPECT_TRUE(AskRouter(ToNear(), Question("x")).finished());
  const v1::GetHealthResponse health = RouterHealth(ToNear());
  EXPECT_NE(health.taint_status(), "");
  EXPECT_EQ(health.lost_records(), 0);
}

TEST_F(DaemonTest, HealthTellsPolicyModelBudgetAndReloads) {
  auto near = Run(NearConfig("unix:/nonexistent/far.sock", kFixedFar));
  ASSERT_TRUE(near);
  const v1::GetHealthResponse health = RouterHealth(ToNear());
  EXPECT_EQ(health.near_model(), "quick");
  EXPECT_EQ(health.policy_name(), "test");
  EXPECT_EQ(health.policy_revision().size(), 64u);
  EXPECT_TRUE(health.last_reload_successful());
  EXPECT_EQ(health.far(0).name(), "home");
  EXPECT_EQ(health.budget_limit_usd(), 10);
  EXPECT_FALSE(health.calibration_matches());
  EXPECT_FALSE(health.version().empty());
  EXPECT_GT(health.near().threads(), 0);
  EXPECT_EQ(health.near().threads_in_use(), health.near().threads());
  EXPECT_FALSE(health.near().has_temperature_celsius());
  EXPECT_FALSE(health.near().paced());
}

TEST_F(DaemonTest, ReloadPolicySwapsAGoodFileAndRefusesABadOne) {
  auto near = Run(NearConfig("", kFixedNear));
  ASSERT_TRUE(near);
  const auto channel = ToNear();
  const auto stub = v1::RouterService::NewStub(channel);
  const std::string revision = RouterHealth(channel).policy_revision();

  bench_.Write("policy.yaml", "schema_version: 1\nname: bad\nchoose: {kind: dice}\nfar: 7\n");
  v1::ReloadPolicyResponse response;
  {
    grpc::ClientContext context;
    const grpc::Status status = stub->ReloadPolicy(&context, {}, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), ::testing::HasSubstr("policy.yaml:3:"));
    EXPECT_THAT(status.error_message(), ::testing::HasSubstr("policy.yaml:4:"));
  }
  EXPECT_FALSE(RouterHealth(channel).last_reload_successful());
  EXPECT_EQ(RouterHealth(channel).policy_revision(), revision);
  EXPECT_TRUE(AskRouter(channel, Question("x")).finished());

  bench_.WritePolicy("policy.yaml", "",
                     "choose: {kind: fixed, route: near}\nvalue: {right_answer_usd: 0.5}\n");
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub->ReloadPolicy(&context, {}, &response).ok());
  }
  EXPECT_NE(response.policy_revision(), revision);
  EXPECT_TRUE(RouterHealth(channel).last_reload_successful());
  EXPECT_EQ(RouterHealth(channel).policy_revision(), response.policy_revision());
}

TEST_F(DaemonTest, AReloadKeepsWhatIsKnownOfAnUnchangedFarSide) {
  auto far = Run(FarConfig(bench_.quick_model()));
  auto near = Run(NearConfig(Target(*far), kFixedFar));
  ASSERT_TRUE(far && near);
  const auto channel = ToNear();
  ASSERT_TRUE(AskRouter(channel, Question("x")).finished());
  EXPECT_EQ(RouterHealth(channel).far(0).state(), "healthy");
  const auto reload = [&](const std::string& target, const std::string& policy) {
    bench_.WritePolicy("policy.yaml", target, policy);
    grpc::ClientContext context;
    v1::ReloadPolicyResponse response;
    const grpc::Status status =
        v1::RouterService::NewStub(channel)->ReloadPolicy(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  };
  const std::string other = absl::StrCat(kFixedFar, "value: {right_answer_usd: 0.5}\n");
  reload(Target(*far), other);
  EXPECT_EQ(RouterHealth(channel).far(0).state(), "healthy");
  reload("unix:/nonexistent/far.sock", other);
  EXPECT_EQ(RouterHealth(channel).far(0).state(), "unknown");
}

// --- the far door
// -----------------------------------------------------------------------------------

class InferenceTest : public DaemonTest {
 protected:
  struct Generation {
    std::vector<v1::GenerateResponse> events;
    grpc::Status status;
    std::string text() const {
      std::string text;
      for (const auto& event : events) text += event.delta().text();
      return text;
    }
    int64_t token_details() const {
      int64_t count = 0;
      for (const auto& event : events) count += event.delta().tokens_size();
      return count;
    }
  };
  Generation Generate(const v1::GenerateRequest& request) {
    Generation out;
    grpc::ClientContext context;
    const auto reader = stub_->Generate(&context, request);
    v1::GenerateResponse response;
    while (reader->Read(&response)) out.events.push_back(response);
    out.status = reader->Finish();
    return out;
  }
  v1::GenerateRequest Request(const std::string& text) {
    v1::GenerateRequest request;
    request.set_request_id("r1");
    v1::ChatMessage* message = request.add_messages();
    message->set_role("user");
    message->set_content(text);
    request.set_max_tokens(10);
    return request;
  }

  std::unique_ptr<Daemon> far_ = Run(FarConfig(bench_.quick_model()));
  std::shared_ptr<grpc::Channel> channel_ = bench_.Connect(Target(*far_), /*tls=*/true);
  std::unique_ptr<v1::InferenceService::Stub> stub_ = v1::InferenceService::NewStub(channel_);
};

TEST_F(InferenceTest, TellsTokensBillsAndItsModel) {
  v1::GenerateRequest request = Request("hello");
  request.set_token_details(true);
  const Generation whole = Generate(request);
  ASSERT_TRUE(whole.status.ok()) << whole.status.error_message();
  EXPECT_EQ(whole.events.front().started().request_id(), "r1");
  EXPECT_EQ(whole.events.front().started().model(), "quick");
  EXPECT_EQ(whole.events.front().started().fingerprint(), far_->engine()->info().fingerprint);
  const v1::GenerateResponse::Finished& finished = whole.events.back().finished();
  EXPECT_EQ(finished.reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(finished.usage().completion_tokens(), 10);
  EXPECT_EQ(whole.token_details(), 10);
  EXPECT_NEAR(finished.cost_usd(), (finished.usage().prompt_tokens() * 100 + 10 * 200) / 1e6,
              1e-12);

  grpc::ClientContext model_context, count_context;
  v1::GetModelResponse model;
  ASSERT_TRUE(stub_->GetModel(&model_context, {}, &model).ok());
  EXPECT_EQ(model.model(), "quick");
  EXPECT_EQ(model.context_tokens(), 512);
  EXPECT_EQ(model.price().output_usd_per_mtok(), 200);
  v1::CountTokensRequest count;
  *count.mutable_messages() = request.messages();
  v1::CountTokensResponse counted;
  ASSERT_TRUE(stub_->CountTokens(&count_context, count, &counted).ok());
  EXPECT_EQ(counted.tokens(), finished.usage().prompt_tokens());

  // Far beyond the context: refused, not tokenized.
  count.mutable_messages(0)->set_content(std::string(65 * 512, 'x'));
  grpc::ClientContext long_context;
  const grpc::Status too_long = stub_->CountTokens(&long_context, count, &counted);
  EXPECT_EQ(too_long.error_code(), grpc::StatusCode::OUT_OF_RANGE) << too_long.error_message();

  far_->CloseDoors();
  grpc::ClientContext late;
  EXPECT_EQ(stub_->CountTokens(&late, count, &counted).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(InferenceTest, ContinuesAPrefixExactly) {
  const Generation whole = Generate(Request("hello"));
  // Cut where both halves are whole code points and the cut does not change the tokens.
  v1::GenerateRequest half = Request("hello");
  half.set_max_tokens(5);
  const std::string prefix = Generate(half).text();
  v1::GenerateRequest rest = Request("hello");
  rest.set_assistant_prefix(prefix);
  rest.set_max_tokens(5);
  const Generation continued = Generate(rest);
  ASSERT_TRUE(continued.status.ok()) << continued.status.error_message();
  EXPECT_GT(continued.events.front().started().prompt_tokens(),
            whole.events.front().started().prompt_tokens());
}

TEST_F(InferenceTest, AnotherModelIsNotFound) {
  v1::GenerateRequest request = Request("hello");
  request.set_model("gpt-17");
  EXPECT_EQ(Generate(request).status.error_code(), grpc::StatusCode::NOT_FOUND);
  request.set_model("quick");
  EXPECT_TRUE(Generate(request).status.ok());
}

TEST_F(InferenceTest, TooLongIsOutOfRangeAndBadIsInvalid) {
  EXPECT_EQ(Generate(Request(std::string(20000, 'x'))).status.error_code(),
            grpc::StatusCode::OUT_OF_RANGE);
  v1::GenerateRequest request = Request("x");
  request.mutable_sampling()->set_temperature(-1);
  EXPECT_EQ(Generate(request).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(InferenceTest, WithoutACertificateNothingIsSaid) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = bench_.certs().ca;
  const auto channel = grpc::CreateChannel(Target(*far_), grpc::SslCredentials(options));
  grpc::ClientContext context;
  v1::GetModelResponse model;
  EXPECT_EQ(v1::InferenceService::NewStub(channel)->GetModel(&context, {}, &model).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(InferenceTest, ManyAtOnceAllEndOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      v1::GenerateRequest request = Request(absl::StrCat("question ", i));
      if (i % 2 == 0) request.set_session_key(absl::StrCat("s", i % 4));
      const Generation generation = Generate(request);
      int terminals = 0;
      for (const auto& event : generation.events) terminals += event.has_finished();
      good += generation.status.ok() && terminals == 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good.load(), 16);
}

// --- doors for anyone
// -------------------------------------------------------------------------------

// grpc.health.v1.Health/Check by its bytes: field 1 of the answer, 1 = SERVING.
int HealthCheck(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  const grpc::Slice empty;
  grpc::ByteBuffer request(&empty, 1), response;
  absl::Notification done;
  int serving = -1;
  stub.UnaryCall(
      &context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
      [&](const grpc::Status& status) {
        grpc::Slice bytes;
        if (status.ok() && response.DumpToSingleSlice(&bytes).ok() && bytes.size() == 2) {
          serving = bytes.begin()[1];
        }
        done.Notify();
      });
  done.WaitForNotification();
  return serving;
}

TEST_F(DaemonTest, TheStandardHealthServiceFollowsTheDoors) {
  auto near = Run(NearConfig("", kFixedNear));
  ASSERT_TRUE(near);
  const auto channel = ToNear();
  EXPECT_EQ(HealthCheck(channel), 1);
  near->CloseDoors();
  EXPECT_EQ(HealthCheck(channel), 2);
  const Heard heard = AskRouter(channel, Question("x"));
  EXPECT_EQ(heard.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(heard.last().failed().reason(), "UNAVAILABLE");
  const auto stub = v1::RouterService::NewStub(channel);
  grpc::ClientContext explain, reload;
  v1::ExplainResponse explained;
  v1::ReloadPolicyResponse reloaded;
  EXPECT_EQ(stub->Explain(&explain, Question("x"), &explained).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(stub->ReloadPolicy(&reload, {}, &reloaded).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(DaemonTest, StopEndsWhatRunsWithAStatus) {
  DaemonConfig config = NearConfig("", kFixedNear);
  config.model_path = bench_.slow_model();
  auto near = Run(std::move(config));
  ASSERT_TRUE(near);
  v1::RoutedRequest request = Question("talk");
  request.set_max_tokens(3500);
  std::thread stopper;
  const Heard heard = AskRouter(ToNear(), request, [&](const auto&, auto*) {
    if (!stopper.joinable()) stopper = std::thread([&] { near->Stop(); });
  });
  stopper.join();
  EXPECT_EQ(heard.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(heard.status.error_message(), "the daemon is shutting down");
  // The router's own last event, with what it knows.
  EXPECT_EQ(heard.last().failed().reason(), "UNAVAILABLE");
  EXPECT_EQ(heard.last().failed().message(), "the daemon is shutting down");
  EXPECT_EQ(heard.last().failed().decision().reason(), "fixed");
}

TEST_F(DaemonTest, ASocketWhoseQueueIsFullIsTaken) {
  DaemonConfig config = NearConfig("", kFixedNear);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, bench_.File("near.sock").c_str(), sizeof(address.sun_path) - 1);
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(listener, to, sizeof(address)), 0);
  ASSERT_EQ(listen(listener, 0), 0);
  std::vector<int> waiting;
  bool full = false;
  while (!full) {
    waiting.push_back(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    full = connect(waiting.back(), to, sizeof(address)) != 0;
  }
  EXPECT_EQ(Daemon::Start(std::move(config)).status().code(), absl::StatusCode::kUnavailable);
  for (const int fd : waiting) close(fd);
  close(listener);
}

TEST_F(DaemonTest, TwoDaemonsDoNotShareAnAddressOrALedger) {
  auto near = Run(NearConfig("", kFixedNear));
  ASSERT_TRUE(near);
  DaemonConfig same_socket = NearConfig("", kFixedNear);
  same_socket.state_dir = bench_.File("state2");
  EXPECT_EQ(Daemon::Start(same_socket).status().code(), absl::StatusCode::kUnavailable);
  DaemonConfig same_state = NearConfig("", kFixedNear);
  same_state.listen[0].address = "127.0.0.1:0";
  EXPECT_EQ(Daemon::Start(same_state).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(AskRouter(ToNear(), Question("x")).finished());
}

TEST_F(DaemonTest, AStaleSocketIsTakenOver) {
  { auto near = Run(NearConfig("", kFixedNear)); }
  // As kill -9 leaves it: a socket file that nobody answers.
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, bench_.File("near.sock").c_str(), sizeof(address.sun_path) - 1);
  unlink(address.sun_path);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  close(fd);
  auto near = Run(NearConfig("", kFixedNear));
  ASSERT_TRUE(near);
  EXPECT_TRUE(AskRouter(ToNear(), Question("x")).finished());
}

class RawPeer {
 public:
  explicit RawPeer(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~RawPeer() { close(fd_); }
  void Send(const std::string& bytes) {
    (void)!send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

 private:
  const int fd_;
};

TEST_F(DaemonTest, HostileBytesLeaveItAlive) {
  DaemonConfig config = NearConfig("", kFixedNear);
  config.listen[0].address = "127.0.0.1:0";
  auto near = Run(std::move(config));
  ASSERT_TRUE(near);
  const std::string address = near->addresses()[0];
  int port = 0;
  ASSERT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));

  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  std::mt19937 random(11);
  const auto noise = [&](size_t size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
  };
  std::vector<std::string> attacks = {
      "",
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST / HTTP/1.0\r\n\r\n",
      preface.substr(0, 10),
      "PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n",
      std::string(100000, 'A'),
      preface + settings + std::string("\xff\xff\xff\1\4\0\0\0\1", 9),  // a header of 16 MiB
      preface + settings + std::string("\0\0\5\1\4\0\0\0\1\x82\x86\xff\xff\xff", 14),  // bad HPACK
      preface + settings + std::string("\0\0\0\x9\0\0\0\0\1", 9),  // CONTINUATION of nothing
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"};             // the start of a TLS handshake
  for (int i = 0; i < 40; ++i) attacks.push_back(noise(1 + random() % 3000));
  for (int i = 0; i < 40; ++i) attacks.push_back(preface + settings + noise(1 + random() % 3000));
  std::vector<std::unique_ptr<RawPeer>> silent;
  for (const std::string& attack : attacks) {
    RawPeer(port).Send(attack);
    silent.push_back(std::make_unique<RawPeer>(port));
    silent.back()->Send(attack.substr(0, attack.size() / 2));
  }
  EXPECT_TRUE(AskRouter(bench_.Connect(address), Question("x")).finished());

  // Well-formed frames around bytes that are no request.
  grpc::GenericStub stub(bench_.Connect(address));
  for (int i = 0; i < 30; ++i) {
    const grpc::Slice bytes(noise(random() % 300));
    grpc::ByteBuffer request(&bytes, 1), response;
    grpc::ClientContext context;
    absl::Notification done;
    grpc::Status status;
    stub.UnaryCall(&context, i % 2 ? "/nearfar.v1.RouterService/Explain" : "/no.such/Method",
                   grpc::StubOptions(), &request, &response, [&](const grpc::Status& result) {
                     status = result;
                     done.Notify();
                   });
    done.WaitForNotification();
    EXPECT_FALSE(status.ok());
  }
  EXPECT_TRUE(AskRouter(bench_.Connect(address), Question("x")).finished());
}

}  // namespace
}  // namespace nearfar::daemon
