// The client as an application sees it: answers, bills, retries, the breaker, TLS and mutual TLS,
// all over loopback.

#include "cloud_client/cloud_client.h"

#include <grpcpp/security/server_credentials.h>

#include <thread>

#include "gtest/gtest.h"
#include "tests/cloud_client/fake_inference.h"
#include "tests/cloud_client/fake_stub.h"
#include "tests/testing/certs.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/held_port.h"
#include "tests/testing/temp_dir.h"

namespace nearfar {
namespace {

using testing::Ask;
using testing::DeltaMessage;
using testing::FakeInference;
using testing::FinishedMessage;
using testing::GenerateWriter;
using testing::HeldPort;
using testing::StartedMessage;
using testing::WaitingSink;

grpc::Status AnswerYes(grpc::ServerContext*, const v1::GenerateRequest&, GenerateWriter* out) {
  out->Write(StartedMessage());
  out->Write(DeltaMessage("yes"));
  out->Write(FinishedMessage());
  return grpc::Status::OK;
}

CloudOptions OptionsFor(const FakeInference& server) {
  CloudOptions options;
  options.name = "fake";
  options.target = server.target();
  return options;
}

std::shared_ptr<CloudClient> ClientWith(CloudOptions options) {
  auto client = CloudClient::Create(std::move(options));
  EXPECT_TRUE(client.ok()) << client.status();
  return *client;
}

std::shared_ptr<WaitingSink> Call(CloudClient& client) {
  auto sink = std::make_shared<WaitingSink>();
  auto call = client.Start(Ask("hello"), absl::Now() + absl::Seconds(60), sink);
  sink->Wait();
  return sink;
}

TEST(CloudClientTest, AnswersBillsAndMeasures) {
  FakeInference server([](grpc::ServerContext*, const v1::GenerateRequest&, GenerateWriter* out) {
    out->Write(StartedMessage());
    out->Write(DeltaMessage("yes"));
    out->Write(FinishedMessage(13));
    return grpc::Status::OK;
  });
  CloudOptions options = OptionsFor(server);
  options.input_usd_per_mtok = 1e6;
  options.output_usd_per_mtok = 2e6;
  options.api_key = "s3cret";
  auto client = ClientWith(options);
  EXPECT_EQ(client->health().state, CloudHealth::State::kUnknown);
  EXPECT_FALSE(client->known_model());
  auto sink = Call(*client);
  EXPECT_EQ(sink->text, "yes");
  EXPECT_EQ(sink->finished->bill_usd, 13);
  EXPECT_EQ(client->health().state, CloudHealth::State::kHealthy);
  EXPECT_EQ(client->health().billed_usd, 13);
  EXPECT_TRUE(client->health().ttft_seconds);
  EXPECT_EQ(client->known_model()->fingerprint, "f1");

  auto model = client->GetModel(absl::Now() + absl::Seconds(60));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->context_tokens, 2048);
  EXPECT_EQ(model->output_usd_per_mtok, 2);
  EXPECT_EQ(client->known_model()->quantization, "Q4_K");
  EXPECT_EQ(server.authorization, "Bearer s3cret");
}

TEST(CloudClientTest, RetriesOverTheRealTimerUntilTheServerWillDo) {
  std::atomic<int> calls{0};
  FakeInference server(
      [&](grpc::ServerContext* context, const v1::GenerateRequest& request, GenerateWriter* out) {
        if (++calls < 3) {
          context->AddTrailingMetadata("nearfar-error", "rate_limited");
          context->AddTrailingMetadata("grpc-retry-pushback-ms", "1");
          return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy");
        }
        return AnswerYes(context, request, out);
      });
  auto client = ClientWith(OptionsFor(server));
  auto sink = Call(*client);
  ASSERT_TRUE(sink->finished);
  EXPECT_EQ(sink->terminals.load(), 1);
  EXPECT_EQ(client->health().retries, 2);
  EXPECT_EQ(client->health().calls, 1);
}

TEST(CloudClientTest, ADeadFarSideFailsAtOnceOpensTheBreakerAndComesBackWithOneProbe) {
  testing::FakeClock clock(absl::Now());
  CloudOptions options;
  options.name = "fake";
  testing::TempDir folder;
  options.target = "unix:" + folder.File("far.sock");
  options.retry_attempts = 1;
  options.steady = clock.function();
  auto client = ClientWith(options);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Call(*client)->error->kind, CloudErrorKind::kUnavailable);
  EXPECT_EQ(client->health().state, CloudHealth::State::kBreakerOpen);
  EXPECT_EQ(Call(*client)->error->kind, CloudErrorKind::kBreakerOpen);
  EXPECT_FALSE(Call(*client)->error->maybe_billed);
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(client->health().state, CloudHealth::State::kUnknown);  // a probe is wanted
}

// A server that takes requests and never answers: whoever gives up waiting says so.
TEST(CloudClientTest, ASilentFarSideThatIsAbandonedOpensTheBreaker) {
  testing::FakeClock clock;
  std::atomic<int> arrived{0};
  FakeInference server(
      [&](grpc::ServerContext* context, const v1::GenerateRequest&, GenerateWriter*) {
        ++arrived;
        while (!context->IsCancelled()) std::this_thread::yield();
        return grpc::Status::CANCELLED;
      });
  CloudOptions options = OptionsFor(server);
  options.steady = clock.function();
  auto client = ClientWith(options);
  for (int i = 1; i <= 3; ++i) {
    auto sink = std::make_shared<WaitingSink>();
    auto call = client->Start(Ask("hello"), absl::InfiniteFuture(), sink);
    while (arrived < i) std::this_thread::yield();
    clock.Advance(absl::Seconds(15));
    call->Abandon();
    EXPECT_EQ(sink->Wait().error->kind, CloudErrorKind::kCancelled);
    EXPECT_TRUE(sink->error->maybe_billed);
  }
  EXPECT_EQ(Call(*client)->error->kind, CloudErrorKind::kBreakerOpen);
}

// Ports that are open and never speak; of the second the first packets are dropped.
TEST(CloudClientTest, AFarSideThatTakesNoConnectionOpensTheBreaker) {
  HeldPort silent(SOCK_STREAM), full(SOCK_STREAM);
  full.FillQueue();
  for (const HeldPort* port : {&silent, &full}) {
    SCOPED_TRACE(port->address());
    testing::FakeTimers timers;
    testing::FakeClock clock;
    CloudOptions options;
    options.name = "fake";
    options.target = "dns:///" + port->address();
    options.after = timers.after();
    options.steady = clock.function();
    auto client = ClientWith(options);
    const auto start = [&](std::shared_ptr<WaitingSink> sink) {
      return client->Start(Ask("hello"), absl::InfiniteFuture(), std::move(sink));
    };
    const auto give_up = [&](WaitingSink& sink) {
      timers.FireNext();
      EXPECT_EQ(sink.Wait().error->kind, CloudErrorKind::kUnavailable);
      EXPECT_FALSE(sink.error->maybe_billed);
      EXPECT_TRUE(sink.error->nothing_sent);
    };
    for (int i = 0; i < options.breaker_failures; ++i) {
      EXPECT_EQ(client->health().state, CloudHealth::State::kUnknown);
      auto sink = std::make_shared<WaitingSink>();
      auto call = start(sink);
      EXPECT_EQ(timers.delays.back(), options.connect_patience);
      give_up(*sink);
    }
    EXPECT_EQ(client->health().state, CloudHealth::State::kBreakerOpen);
    EXPECT_EQ(Call(*client)->error->kind, CloudErrorKind::kBreakerOpen);

    clock.Advance(options.breaker_open);
    EXPECT_EQ(client->health().state, CloudHealth::State::kUnknown) << "a probe is wanted";
    auto probe = std::make_shared<WaitingSink>();
    auto call = start(probe);
    EXPECT_EQ(client->health().state, CloudHealth::State::kBreakerOpen) << "it is under way";
    EXPECT_EQ(Call(*client)->error->kind, CloudErrorKind::kBreakerOpen);
    give_up(*probe);
    clock.Advance(options.breaker_open);
    EXPECT_EQ(client->health().state, CloudHealth::State::kBreakerOpen) << "twice the pause";
    EXPECT_EQ(client->health().billed_usd, 0);
    EXPECT_EQ(client->health().retries, 0);
  }
}

// A connection that is taken, and becomes a gRPC one when the test says so.
class LateConnectionTest : public ::testing::Test {
 protected:
  LateConnectionTest() {
    CloudOptions options;
    options.name = "fake";
    options.target = "dns:///" + port_.address();
    options.after = timers_.after();
    client_ = ClientWith(options);
  }
  std::unique_ptr<CloudCall> Start(std::shared_ptr<WaitingSink> sink) {
    return client_->Start(Ask("hello"), absl::InfiniteFuture(), std::move(sink));
  }

  absl::Notification arrived_;
  FakeInference server_{[this](grpc::ServerContext* context, const v1::GenerateRequest& request,
                               GenerateWriter* out) {
    arrived_.Notify();
    return AnswerYes(context, request, out);
  }};
  HeldPort port_{SOCK_STREAM};
  testing::FakeTimers timers_;
  std::shared_ptr<CloudClient> client_;
};

TEST_F(LateConnectionTest, ThatComesBeforeTheTimerCarriesItsCall) {
  auto sink = std::make_shared<WaitingSink>();
  auto call = Start(sink);
  server_.Adopt(port_.Accept());
  arrived_.WaitForNotification();
  timers_.FireNext();
  EXPECT_EQ(sink->Wait().text, "yes");
  EXPECT_TRUE(sink->finished);
  EXPECT_EQ(client_->health().state, CloudHealth::State::kHealthy);
}

TEST_F(LateConnectionTest, ThatComesAfterTheTimerServesTheNextCallOnly) {
  auto late = std::make_shared<WaitingSink>();
  auto call = Start(late);
  const int connection = port_.Accept();
  timers_.FireNext();
  EXPECT_EQ(late->Wait().error->kind, CloudErrorKind::kUnavailable);
  EXPECT_TRUE(late->error->nothing_sent);
  EXPECT_EQ(client_->health().failures, 1);

  auto sink = std::make_shared<WaitingSink>();
  auto next = Start(sink);
  server_.Adopt(connection);
  EXPECT_EQ(sink->Wait().text, "yes");
  EXPECT_EQ(server_.calls.load(), 1) << "what was given up did not go out after all";
  EXPECT_EQ(late->terminals.load(), 1);
  EXPECT_EQ(client_->health().state, CloudHealth::State::kHealthy);
}

TEST(CloudClientTest, RefusesBadOptions) {
  CloudOptions options;
  options.name = "fake";
  options.protocol = "morse";
  options.target = "dns:///x:1";
  EXPECT_EQ(CloudClient::Create(options).status().code(), absl::StatusCode::kInvalidArgument);
}

// The last owner of the client may be a callback: nothing may wait for itself.
TEST(CloudClientTest, MayBeDroppedWhileACallRuns) {
  FakeInference server(AnswerYes);
  auto sink = std::make_shared<WaitingSink>();
  auto client = ClientWith(OptionsFor(server));
  auto call = client->Start(Ask("hello"), absl::InfiniteFuture(), sink);
  client.reset();
  EXPECT_TRUE(sink->Wait().finished);
}

class CloudTlsTest : public ::testing::Test {
 protected:
  CloudTlsTest() : certs_(testing::MakeTestCerts(folder_.path())) {
    grpc::SslServerCredentialsOptions tls(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = certs_.ca;
    tls.pem_key_cert_pairs.push_back({certs_.server_key, certs_.server_crt});
    server_ = std::make_unique<FakeInference>(AnswerYes, grpc::SslServerCredentials(tls));
  }
  std::shared_ptr<WaitingSink> CallWith(CloudTls tls) {
    CloudOptions options = OptionsFor(*server_);
    options.retry_attempts = 1;
    options.tls = std::move(tls);
    return Call(*ClientWith(options));
  }

  testing::TempDir folder_;
  const testing::TestCerts certs_;
  std::unique_ptr<FakeInference> server_;
};

TEST_F(CloudTlsTest, BothSidesKnowEachOther) {
  auto sink = CallWith({certs_.ca, certs_.client_crt, certs_.client_key, ""});
  EXPECT_EQ(sink->text, "yes");
  EXPECT_EQ(CallWith({certs_.ca, certs_.client_crt, certs_.client_key, "localhost"})->text, "yes");
}

TEST_F(CloudTlsTest, WithoutAClientCertificateNothingPasses) {
  EXPECT_EQ(CallWith({certs_.ca, "", "", ""})->error->kind, CloudErrorKind::kUnavailable);
  EXPECT_EQ(server_->calls.load(), 0);
}

TEST_F(CloudTlsTest, TheServersCertificateMustComeFromOurCa) {
  testing::TempDir other_folder;
  const testing::TestCerts other = testing::MakeTestCerts(other_folder.path());
  auto sink = CallWith({other.ca, certs_.client_crt, certs_.client_key, ""});
  EXPECT_EQ(sink->error->kind, CloudErrorKind::kUnavailable);
  EXPECT_FALSE(sink->error->maybe_billed);
  // And a client certificate of another CA is none.
  EXPECT_TRUE(CallWith({certs_.ca, other.client_crt, other.client_key, ""})->error);
  EXPECT_EQ(server_->calls.load(), 0);
}

TEST_F(CloudTlsTest, TheServersNameMustBeTheOneAskedFor) {
  auto sink = CallWith({certs_.ca, certs_.client_crt, certs_.client_key, "elsewhere.example"});
  EXPECT_EQ(sink->error->kind, CloudErrorKind::kUnavailable);
  EXPECT_EQ(server_->calls.load(), 0);
}

TEST_F(CloudTlsTest, PlaintextDoesNotPassEither) {
  CloudOptions options = OptionsFor(*server_);
  options.retry_attempts = 1;
  EXPECT_EQ(Call(*ClientWith(options))->error->kind, CloudErrorKind::kUnavailable);
}

}  // namespace
}  // namespace nearfar
