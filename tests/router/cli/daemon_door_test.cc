// The commands that speak to a daemon, against one that says what a test has it say.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nearfar/v1/inference.grpc.pb.h"
#include "nearfar/v1/router.grpc.pb.h"
#include "router/cli/exit_codes.h"
#include "tests/router/cli/captured_terminal.h"
#include "tests/testing/certs.h"
#include "tests/testing/temp_dir.h"

namespace nearfar::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kMostRequestBytes = 64 << 10;

class ScriptedRouter : public v1::RouterService::Service {
 public:
  using Writer = grpc::ServerWriter<v1::RoutedResponse>;

  grpc::Status Generate(grpc::ServerContext* context, const v1::RoutedRequest*,
                        Writer* writer) override {
    return generate(context, writer);
  }
  grpc::Status Explain(grpc::ServerContext*, const v1::RoutedRequest*,
                       v1::ExplainResponse* response) override {
    *response->mutable_decision() = decision;
    return grpc::Status::OK;
  }
  grpc::Status ReloadPolicy(grpc::ServerContext*, const v1::ReloadPolicyRequest*,
                            v1::ReloadPolicyResponse* response) override {
    response->set_policy_name("mine");
    response->set_policy_revision("0123456789abcdef");
    return reload;
  }

  grpc::Status GetHealth(grpc::ServerContext*, const v1::GetHealthRequest*,
                         v1::GetHealthResponse* response) override {
    *response = health;
    return grpc::Status::OK;
  }

  std::function<grpc::Status(grpc::ServerContext*, Writer*)> generate;
  v1::GetHealthResponse health;
  v1::Decision decision;
  grpc::Status reload;
};

class Daemon : public ::testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(&router_);
    builder.SetMaxReceiveMessageSize(kMostRequestBytes);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  ProgramRun Ask(const std::string& text) {
    return RunNearfar({"ask", text, "--daemon", address_});
  }

  testing::TempDir folder_;
  const std::string address_ = absl::StrCat("unix:", folder_.File("daemon.sock"));
  ScriptedRouter router_;
  std::unique_ptr<grpc::Server> server_;
};

v1::RoutedResponse Started() {
  v1::RoutedResponse response;
  response.mutable_started()->set_request_id("r1");
  return response;
}

TEST_F(Daemon, AFailureIsToldInTheDaemonsOwnWords) {
  const std::string words = "refused: near_failed: its circuit breaker is open";
  router_.generate = [&](grpc::ServerContext*, ScriptedRouter::Writer* writer) {
    writer->Write(Started());
    v1::RoutedResponse response;
    response.mutable_failed()->set_message(words);
    writer->Write(response);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, words);
  };
  const ProgramRun run = Ask("hi");
  EXPECT_EQ(run.code, kExitUnavailable);
  EXPECT_EQ(run.err, absl::StrCat("nearfar: ", words, "\n"));
}

TEST_F(Daemon, ARefusalIsNotTakenForSilence) {
  router_.generate = [](grpc::ServerContext* context, ScriptedRouter::Writer*) {
    context->AddTrailingMetadata("nearfar-error", "unavailable");
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the daemon is shutting down");
  };
  const ProgramRun run = Ask("hi");
  EXPECT_EQ(run.code, kExitUnavailable);
  EXPECT_EQ(run.err, "nearfar: the daemon is shutting down\n");
}

TEST_F(Daemon, AnAnswerThatBreaksOffIsSaidToHaveBegun) {
  router_.generate = [](grpc::ServerContext*, ScriptedRouter::Writer* writer) {
    writer->Write(Started());
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
  };
  const ProgramRun run = Ask("hi");
  EXPECT_EQ(run.code, kExitUnavailable);
  EXPECT_THAT(run.err, HasSubstr("broke the answer off: Socket closed"));
  EXPECT_THAT(run.err, Not(HasSubstr("cannot be reached")));
}

TEST_F(Daemon, NothingIsSentOfAQuestionThatIsNotUtf8) {
  router_.generate = [](grpc::ServerContext*, ScriptedRouter::Writer*) {
    ADD_FAILURE() << "it was sent";
    return grpc::Status::OK;
  };
  const ProgramRun run = Ask("caf\xE9");
  EXPECT_EQ(run.code, kExitData);
  EXPECT_THAT(run.err, HasSubstr("the text is not valid UTF-8"));
  EXPECT_EQ(RunNearfar({"ask", "caf\xE9", "--daemon", address_, "--explain"}).code, kExitData);
}

TEST_F(Daemon, AQuestionThatIsTooLargeNamesTheLimit) {
  const ProgramRun run = Ask(std::string(kMostRequestBytes + 1, 'a'));
  EXPECT_EQ(run.code, kExitData);
  EXPECT_THAT(run.err, HasSubstr("limits.max_request_bytes"));
}

TEST_F(Daemon, ACertificateFileThatHoldsNothingIsNotLeftOut) {
  const ProgramRun run = RunNearfar({"ask", "hi", "--daemon", address_, "--ca", folder_.path()});
  EXPECT_EQ(run.code, kExitNoInput);
  EXPECT_THAT(run.err, HasSubstr(absl::StrCat(folder_.path(), ": holds nothing")));
}

TEST_F(Daemon, AnExplanationTellsPrivacyAndFlagsAsInProcess) {
  router_.decision.set_route(v1::ROUTE_NEAR);
  router_.decision.set_reason("tainted");
  router_.decision.set_taint(v1::TAINT_SESSION);
  router_.decision.set_flagged(true);
  const ProgramRun text = RunNearfar({"ask", "hi", "--daemon", address_, "--explain"});
  EXPECT_THAT(text.out, HasSubstr("privacy"));
  EXPECT_THAT(text.out, HasSubstr("this conversation stays on the device"));
  EXPECT_THAT(text.out, HasSubstr("could not take it"));
  const ProgramRun json = RunNearfar({"ask", "hi", "--daemon", address_, "--explain", "--json"});
  EXPECT_THAT(json.out, HasSubstr(R"("taint":"session","flagged":true)"));
}

TEST_F(Daemon, StopsMayBeRepeatedAndTheQuestionMayFollow) {
  router_.generate = [](grpc::ServerContext*, ScriptedRouter::Writer* writer) {
    v1::RoutedResponse response;
    response.mutable_finished()->set_source("near");
    writer->Write(response);
    return grpc::Status::OK;
  };
  const ProgramRun run =
      RunNearfar({"ask", "--daemon", address_, "--stop", "a", "--stop", "b", "hi"});
  EXPECT_EQ(run.code, kExitOk) << run.err;
}

TEST_F(Daemon, ReloadTellsWhatIsInForce) {
  const ProgramRun run = RunNearfar({"policy", "reload", "--daemon", address_});
  EXPECT_EQ(run.code, kExitOk) << run.err;
  EXPECT_EQ(run.out, "mine is in force, revision 0123456789ab\n");
  EXPECT_EQ(RunNearfar({"policy", "reload", "--daemon", address_, "--json"}).out,
            "{\"name\":\"mine\",\"revision\":\"0123456789abcdef\"}\n");
}

TEST_F(Daemon, ReloadTellsEveryMistake) {
  std::string mistakes;
  for (int line = 1; line <= 400; ++line) {
    absl::StrAppend(&mistakes, "policy.yaml:", line, ":1: rules: is wrong (correct it)\n");
  }
  router_.reload = grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, mistakes);
  const ProgramRun run = RunNearfar({"policy", "reload", "--daemon", address_});
  EXPECT_EQ(run.code, kExitConfig);
  EXPECT_THAT(run.err, HasSubstr("policy.yaml:1:1: "));
  EXPECT_THAT(run.err, HasSubstr("policy.yaml:400:1: "));
  EXPECT_EQ(run.out, "");
}

TEST_F(Daemon, DoctorTellsItsHealth) {
  router_.health.set_version("1.2.3");
  router_.health.set_near_model("small");
  router_.health.set_policy_name("mine");
  router_.health.set_policy_revision("0123456789abcdef");
  router_.health.set_last_reload_successful(true);
  router_.health.set_calibration_matches(true);
  router_.health.set_budget_limit_usd(2);
  router_.health.set_budget_spent_usd(0.5);
  v1::GetHealthResponse::FarHealth* far = router_.health.add_far();
  far->set_name("home");
  far->set_state("healthy");
  const std::vector<std::string> doctor = {"doctor", "--daemon", address_};
  ProgramRun run = RunNearfar(doctor);
  EXPECT_EQ(run.code, kExitOk) << run.err;
  EXPECT_EQ(run.out, absl::StrCat("ok    daemon: nearfard 1.2.3 at ", address_,
                                  "\n"
                                  "ok    policy: mine, revision 0123456789ab\n"
                                  "ok    near model: small\n"
                                  "ok    calibration: belongs to the near model\n"
                                  "ok    far home: healthy\n"
                                  "ok    budget: $0.500000 of $2 spent in this window\n"
                                  "all well\n"));
  far->set_state("breaker_open");
  router_.health.set_lost_records(7);
  run = RunNearfar(doctor);
  EXPECT_EQ(run.code, kExitOk) << "it knows of them, and answers";
  EXPECT_THAT(run.out, HasSubstr("warn  far home: breaker_open"));
  EXPECT_THAT(run.out, HasSubstr("warn  log: 7 records could not be written"));
  router_.health.set_last_reload_successful(false);
  router_.health.set_last_reload_error("policy.yaml:3:1: is wrong");
  router_.health.set_taint_status("taint.db: cannot be read");
  run = RunNearfar(doctor);
  EXPECT_EQ(run.code, kExitUnavailable);
  EXPECT_THAT(run.out, HasSubstr("fail  reload: policy.yaml:3:1: is wrong"));
  EXPECT_THAT(run.out, HasSubstr("fail  taint: taint.db: cannot be read"));
}

TEST_F(Daemon, DoctorTellsWhatHoldsTheNearSide) {
  router_.health.set_near_model("small");
  router_.health.set_last_reload_successful(true);
  v1::GetHealthResponse::NearHealth* near = router_.health.mutable_near();
  near->set_threads(4);
  near->set_threads_in_use(4);
  const std::vector<std::string> doctor = {"doctor", "--daemon", address_};
  EXPECT_THAT(RunNearfar(doctor).out, Not(HasSubstr("heat"))) << "no limit is set";
  near->set_temperature_celsius(61.54);
  EXPECT_THAT(RunNearfar(doctor).out, HasSubstr("ok    heat: 61.5 °C, 4 of 4 threads work"));
  near->set_temperature_celsius(82);
  near->set_threads_in_use(2);
  near->set_paced(true);
  const ProgramRun hot = RunNearfar(doctor);
  EXPECT_THAT(hot.out, HasSubstr("warn  heat: 82.0 °C, 2 of 4 threads work"));
  EXPECT_THAT(hot.out, HasSubstr("ok    pace: tokens wait for model.max_tokens_per_second"));
  near->clear_temperature_celsius();
  EXPECT_THAT(RunNearfar(doctor).out, HasSubstr("warn  heat: no reading, 2 of 4 threads work"));
}

TEST_F(Daemon, DoctorTellsThatItIsNotThere) {
  server_.reset();
  const ProgramRun run = RunNearfar({"doctor", "--daemon", address_});
  EXPECT_EQ(run.code, kExitUnavailable);
  EXPECT_THAT(run.out, HasSubstr("fail  daemon: the daemon at unix:"));
  EXPECT_EQ(RunNearfar({"doctor", "--daemon", address_, "--policy", "offline"}).code, kExitUsage);
}

TEST(Service, OneWithoutARouterIsToldFromOneThatIsNotThere) {
  const testing::TempDir folder;
  const std::string address = absl::StrCat("unix:", folder.File("daemon.sock"));
  v1::InferenceService::Service inference;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&inference);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"ask", "hi"}, {"ask", "hi", "--explain"}, {"doctor"}}) {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"--daemon", address});
    const ProgramRun run = RunNearfar(all);
    EXPECT_EQ(run.code, kExitUnavailable);
    EXPECT_THAT(run.err + run.out, HasSubstr("serves no router"));
    EXPECT_THAT(run.err + run.out, HasSubstr("serve.router"));
  }
}

TEST(Tls, WhatIsWrongWithItIsTold) {
  const testing::TempDir folder;
  const testing::TestCerts certs = testing::MakeTestCerts(folder.path());
  grpc::SslServerCredentialsOptions tls;
  tls.pem_key_cert_pairs.push_back({certs.server_key, certs.server_crt});
  ScriptedRouter router;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(tls), &port);
  builder.RegisterService(&router);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const std::string address = absl::StrCat("127.0.0.1:", port);
  const ProgramRun plain = RunNearfar({"ask", "hi", "--daemon", address, "--explain"});
  EXPECT_EQ(plain.code, kExitUnavailable);
  EXPECT_THAT(plain.err, HasSubstr("--ca, --cert and --key"));
  const ProgramRun strange =
      RunNearfar({"ask", "hi", "--daemon", address, "--explain", "--ca", folder.File("ca.crt"),
                  "--cert", folder.File("client.crt"), "--key", folder.File("server.key")});
  EXPECT_EQ(strange.code, kExitConfig);
  EXPECT_THAT(strange.err, HasSubstr(absl::StrCat("--key ", folder.File("server.key"), ": ")));
}

// gRPC reads a Unix address as a URI; people write a path.
TEST(Socket, ANameIsAPathAndNoUri) {
  const testing::TempDir folder;
  ScriptedRouter router;
  router.decision.set_route(v1::ROUTE_NEAR);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("unix:", folder.File("a%2520b%20c%23d%3Fe")),
                           grpc::InsecureServerCredentials());
  builder.RegisterService(&router);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  for (const std::string& scheme : {"", "unix:", "unix://"}) {
    const std::string address = absl::StrCat(scheme, folder.File("a%20b c#d?e"));
    const ProgramRun run = RunNearfar({"ask", "hi", "--daemon", address, "--explain"});
    EXPECT_EQ(run.code, kExitOk) << run.err;
  }
}

TEST(Reload, OfADaemonThatIsNotThereIsExit69) {
  const testing::TempDir folder;
  const ProgramRun run = RunNearfar({"policy", "reload", "--daemon", folder.File("no")});
  EXPECT_EQ(run.code, kExitUnavailable);
  EXPECT_THAT(run.err, HasSubstr("cannot be reached"));
}

}  // namespace
}  // namespace nearfar::cli
