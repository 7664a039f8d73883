// The real nearfard as a process: exit codes, signals, drains, reloads, kill -9.

#include <grpcpp/security/server_credentials.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cloud_client/fake_inference.h"
#include "tests/router/daemon/daemon_bench.h"
#include "tests/testing/process.h"

namespace nearfar {
namespace {

using testing::AskRouter;
using testing::DaemonBench;
using ::testing::HasSubstr;
using testing::Heard;
using ::testing::Not;
using testing::Process;
using testing::Question;
using testing::RouterHealth;

constexpr char kFixedNear[] = "choose: {kind: fixed, route: near}\n";
constexpr char kFixedFar[] = "choose: {kind: fixed, route: far}\nbudget: {limit_usd: 10}\n";

class ProgramTest : public ::testing::Test {
 protected:
  std::string WriteDaemonFile(const std::string& model, const std::string& more = "") {
    bench_.Write("nearfard.yaml",
                 absl::StrCat("schema_version: 1\nlisten: [{address: \"unix:", Socket(),
                              "\"}]\nmodel: {path: ", model,
                              ", threads: 1}\npolicy: policy.yaml\nstate_dir: state\n", more));
    return bench_.File("nearfard.yaml");
  }
  std::string Socket() const { return bench_.File("d.sock"); }
  std::shared_ptr<grpc::Channel> Connect() const { return bench_.Connect("unix:" + Socket()); }
  static std::unique_ptr<Process> Run(const std::vector<std::string>& arguments,
                                      const std::vector<std::string>& environment = {}) {
    std::vector<std::string> argv = {NEARFARD};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return std::make_unique<Process>(argv, environment);
  }
  std::unique_ptr<Process> RunDaemon(const std::string& file,
                                     const std::vector<std::string>& environment = {}) {
    auto process = Run({"--config", file}, environment);
    process->WaitForLine("ready");
    return process;
  }

  DaemonBench bench_;
};

TEST_F(ProgramTest, WrongUseExits64WithAHint) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{}, {"--nope"}, {"--config"}, {"extra"}}) {
    auto process = Run(arguments);
    EXPECT_EQ(process->Wait(), 64);
    EXPECT_THAT(process->output(), HasSubstr("see nearfard --help"));
  }
}

TEST_F(ProgramTest, HelpShowsAnExample) {
  auto process = Run({"--help"});
  EXPECT_EQ(process->Wait(), 0);
  EXPECT_THAT(process->output(), HasSubstr("Example"));
  auto version = Run({"--version"});
  EXPECT_EQ(version->Wait(), 0);
  EXPECT_THAT(version->output(), HasSubstr("nearfard "));
}

TEST_F(ProgramTest, ABadFileExits78BeforeItListens) {
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  auto none = Run({"--config", bench_.File("none.yaml")});
  EXPECT_EQ(none->Wait(), 78);
  EXPECT_THAT(none->output(), HasSubstr("none.yaml: cannot be read"));

  auto bad =
      Run({"--config", WriteDaemonFile(bench_.quick_model(), "modle: x\ndrain_seconds: -1\n")});
  EXPECT_EQ(bad->Wait(), 78);
  EXPECT_THAT(bad->output(), HasSubstr("nearfard.yaml:6:1: modle: unknown key"));
  EXPECT_THAT(bad->output(), HasSubstr("nearfard.yaml:7:"));
  EXPECT_THAT(bad->output(), Not(HasSubstr("listening")));
  EXPECT_NE(access(Socket().c_str(), F_OK), 0);

  bench_.Write("policy.yaml", "schema_version: 1\nchoose: {kind: dice}\n");
  auto policy = Run({"--config", WriteDaemonFile(bench_.quick_model())});
  EXPECT_EQ(policy->Wait(), 78);
  EXPECT_THAT(policy->output(), HasSubstr("policy.yaml:2:"));
}

TEST_F(ProgramTest, CheckOnlyChecks) {
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  auto good = Run({"--check", "--config", WriteDaemonFile(bench_.quick_model())});
  EXPECT_EQ(good->Wait(), 0);
  EXPECT_NE(access(bench_.File("state").c_str(), F_OK), 0);  // nothing was made
  auto bad = Run({"--check", "--config", WriteDaemonFile(bench_.quick_model(), "x: 1\n")});
  EXPECT_EQ(bad->Wait(), 78);
}

TEST_F(ProgramTest, WhatCannotWorkIsToldBeforeTheModelIsLoaded) {
  struct Case {
    std::string policy, more, says;
  };
  const std::string far = "far: [{name: home, target: \"dns:///127.0.0.1:1\", tls: {ca_file: ";
  const std::string price = ", price: {input_usd_per_mtok: 0, output_usd_per_mtok: 0}}]\n";
  for (const Case& c :
       {Case{absl::StrCat(kFixedNear, far, "none.crt}", price), "", "none.crt: cannot be read"},
        Case{absl::StrCat(kFixedNear, far, bench_.certs().folder, "/ca.crt}",
                          ", api_key: env:NEARFAR_TEST_NO_SUCH_KEY", price),
             "", "NEARFAR_TEST_NO_SUCH_KEY is not set"},
        Case{kFixedNear, ", kernels: mmx", "no kernels are named \"mmx\""}}) {
    bench_.WritePolicy("policy.yaml", "", c.policy);
    // Not a model: it would exit with 65 if it were looked into.
    bench_.Write("not.gguf", "this is not a model");
    const std::string file = WriteDaemonFile(bench_.File("not.gguf") + c.more);
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"--config", file}, {"--check", "--config", file}}) {
      auto process = Run(arguments);
      EXPECT_EQ(process->Wait(), 78) << c.says;
      EXPECT_THAT(process->output(), HasSubstr(c.says));
    }
  }
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  bench_.Write("nothing.yaml",
               absl::StrCat("schema_version: 1\nlisten: [{address: \"unix:", Socket(),
                            "\"}]\npolicy: policy.yaml\nstate_dir: state\n"));
  auto process = Run({"--check", "--config", bench_.File("nothing.yaml")});
  EXPECT_EQ(process->Wait(), 78);
  EXPECT_THAT(process->output(), HasSubstr("nothing could answer"));
}

TEST_F(ProgramTest, AFileThatIsNoModelExits65) {
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  bench_.Write("not.gguf", "this is not a model");
  auto process = Run({"--config", WriteDaemonFile(bench_.File("not.gguf"))});
  EXPECT_EQ(process->Wait(), 65);
}

TEST_F(ProgramTest, ATakenAddressExits69) {
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  const std::string file = WriteDaemonFile(bench_.quick_model());
  auto first = RunDaemon(file);
  auto second = Run({"--config", file});
  EXPECT_EQ(second->Wait(), 69);
  EXPECT_TRUE(AskRouter(Connect(), Question("x")).finished());
}

TEST_F(ProgramTest, AnswersAndEndsWellAtSigterm) {
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  auto process = RunDaemon(WriteDaemonFile(bench_.quick_model()));
  const Heard heard = AskRouter(Connect(), Question("a secret question"));
  ASSERT_TRUE(heard.finished()) << heard.status.error_message();
  process->WaitForLine("finished: near");
  process->Signal(SIGTERM);
  EXPECT_EQ(process->Wait(), 0);
  EXPECT_THAT(process->output(), Not(HasSubstr("secret")));  // of no request's text
  EXPECT_NE(access(Socket().c_str(), F_OK), 0);
}

TEST_F(ProgramTest, TellsWhatItIsAndWhatItRefuses) {
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  auto process = Run({"--config", WriteDaemonFile(bench_.quick_model())});
  const std::string line = process->WaitForLine("policy test, revision ");
  for (const std::string& part :
       {std::string("nearfard "), bench_.quick_model() + ", kernels ",
        std::string(", 1 thread, packed cache "),
        std::string(", not calibrated; no far side; state in "), bench_.File("state")}) {
    EXPECT_THAT(line, HasSubstr(part));
  }
  process->WaitForLine("ready");
  v1::RoutedRequest request = Question("a secret question");
  request.set_request_id("mine");
  request.mutable_messages(0)->set_role("oracle");
  AskRouter(Connect(), request);
  process->WaitForLine("query mine refused: INVALID_ARGUMENT");
  process->Signal(SIGTERM);
  EXPECT_EQ(process->Wait(), 0);
  EXPECT_THAT(process->output(), Not(HasSubstr("secret")));
}

TEST_F(ProgramTest, SigtermLetsARunningCallFinish) {
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  auto process = RunDaemon(WriteDaemonFile(bench_.slow_model(), "drain_seconds: 100\n"));
  v1::RoutedRequest request = Question("talk");
  request.set_max_tokens(200);
  bool told = false;
  const Heard heard = AskRouter(Connect(), request, [&](const auto&, auto*) {
    if (std::exchange(told, true)) return;
    process->Signal(SIGTERM);
    process->WaitForLine("shutting down: 1 calls");
    // What comes now is refused.
    EXPECT_EQ(AskRouter(Connect(), Question("x")).status.error_code(),
              grpc::StatusCode::UNAVAILABLE);
  });
  EXPECT_TRUE(heard.finished()) << heard.status.error_message();
  EXPECT_EQ(process->Wait(), 0);
}

TEST_F(ProgramTest, ASecondSigtermHastens) {
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  auto process = RunDaemon(WriteDaemonFile(bench_.slow_model(), "drain_seconds: 3000\n"));
  v1::RoutedRequest request = Question("talk");
  request.set_max_tokens(3500);
  bool told = false;
  const Heard heard = AskRouter(Connect(), request, [&](const auto&, auto*) {
    if (std::exchange(told, true)) return;
    process->Signal(SIGTERM);
    process->WaitForLine("shutting down: 1 calls");
    process->Signal(SIGTERM);
  });
  EXPECT_EQ(heard.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(heard.status.error_message(), "the daemon is shutting down");
  EXPECT_EQ(process->Wait(), 0);
}

TEST_F(ProgramTest, ADrainThatTakesTooLongIsCutOff) {
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  auto process = RunDaemon(WriteDaemonFile(bench_.slow_model(), "drain_seconds: 0\n"));
  v1::RoutedRequest request = Question("talk");
  request.set_max_tokens(3500);
  const Heard heard =
      AskRouter(Connect(), request, [&](const auto&, auto*) { process->Signal(SIGTERM); });
  EXPECT_EQ(heard.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(process->Wait(), 0);
}

TEST_F(ProgramTest, SighupReloadsAndABadPolicyNeverReplacesAGoodOne) {
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  auto process = RunDaemon(WriteDaemonFile(bench_.quick_model()));
  const std::string revision = RouterHealth(Connect()).policy_revision();
  process->Signal(SIGHUP);
  process->WaitForLine("policy test is in force");

  bench_.Write("policy.yaml", "schema_version: 1\nname: worse\nchoose: {kind: dice}\n");
  process->Signal(SIGHUP);
  process->WaitForLine("the policy was not reloaded, test stays in force");
  process->WaitForLine("policy.yaml:3:");
  const v1::GetHealthResponse health = RouterHealth(Connect());
  EXPECT_EQ(health.policy_revision(), revision);
  EXPECT_FALSE(health.last_reload_successful());
  EXPECT_THAT(health.last_reload_error(), HasSubstr("policy.yaml:3:"));
  EXPECT_TRUE(AskRouter(Connect(), Question("x")).finished());

  // A good file is noticed by itself.
  bench_.WritePolicy("policy.yaml", "", "choose: {kind: fixed, route: near}\nlog: {keep: 7d}\n");
  process->WaitForLine("policy test is in force");
  EXPECT_TRUE(RouterHealth(Connect()).last_reload_successful());
  process->Signal(SIGTERM);
  EXPECT_EQ(process->Wait(), 0);
}

TEST_F(ProgramTest, TellsTheServiceManager) {
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  const std::string path = bench_.File("notify.sock");
  const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  auto process = RunDaemon(WriteDaemonFile(bench_.quick_model()), {"NOTIFY_SOCKET=" + path});
  const auto next = [&] {
    char buffer[256];
    const ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
    return std::string(buffer, size > 0 ? static_cast<size_t>(size) : 0);
  };
  EXPECT_EQ(next(), "READY=1");
  process->Signal(SIGHUP);
  EXPECT_THAT(next(), HasSubstr("RELOADING=1\nMONOTONIC_USEC="));
  EXPECT_EQ(next(), "READY=1");
  process->Signal(SIGTERM);
  EXPECT_EQ(next(), "STOPPING=1");
  EXPECT_EQ(process->Wait(), 0);
  close(fd);
}

TEST_F(ProgramTest, StateIsForItsOwnerOnly) {
  bench_.WritePolicy("policy.yaml", "", kFixedNear);
  auto process = RunDaemon(WriteDaemonFile(bench_.quick_model()));
  AskRouter(Connect(), Question("x"));
  for (const char* name :
       {"state", "state/ledger.db", "state/decisions.db", "state/taint.db", "d.sock"}) {
    EXPECT_EQ(std::filesystem::status(bench_.File(name)).permissions() &
                  static_cast<std::filesystem::perms>(077),
              std::filesystem::perms::none)
        << name;
  }
}

// Issue item 6: the daemon dies in the middle of a far call. What was set aside for that call
// counts as spent afterwards, so the far side's bill cannot pass the limit behind our back.
TEST_F(ProgramTest, KillNineInTheMiddleOfAFarCallLeavesItsLeaseSpent) {
  grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_root_certs = bench_.certs().ca;
  tls.pem_key_cert_pairs.push_back({bench_.certs().server_key, bench_.certs().server_crt});
  absl::Notification in_mid_call;
  testing::FakeInference far(
      [&](grpc::ServerContext* context, const v1::GenerateRequest&, testing::GenerateWriter* out) {
        out->Write(testing::StartedMessage());
        out->Write(testing::DeltaMessage("The answer "));
        in_mid_call.Notify();
        while (!context->IsCancelled()) std::this_thread::yield();
        return grpc::Status::CANCELLED;
      },
      grpc::SslServerCredentials(tls));
  bench_.WritePolicy("policy.yaml", far.target(), kFixedFar);
  const std::string file = WriteDaemonFile(bench_.quick_model());
  auto process = RunDaemon(file);
  EXPECT_EQ(RouterHealth(Connect()).budget_spent_usd(), 0);
  std::thread asking([&] {
    EXPECT_EQ(AskRouter(Connect(), Question("x")).status.error_code(),
              grpc::StatusCode::UNAVAILABLE);
  });
  in_mid_call.WaitForNotification();
  const double reserved = RouterHealth(Connect()).budget_spent_usd();
  EXPECT_GT(reserved, 0);
  process->Signal(SIGKILL);
  EXPECT_EQ(process->Wait(), 128 + SIGKILL);
  asking.join();

  process = RunDaemon(file);
  const v1::GetHealthResponse health = RouterHealth(Connect());
  EXPECT_GE(health.budget_spent_usd(), reserved);
  EXPECT_LE(health.budget_spent_usd(), health.budget_limit_usd());
}

// The cut cable, with real processes: the far one is killed, near keeps answering and says so.
TEST_F(ProgramTest, AKilledFarProcessIsReplacedByFlaggedNearAnswers) {
  bench_.Write(
      "far.yaml",
      absl::StrCat("schema_version: 1\nlisten: [{address: \"127.0.0.1:0\", tls: {cert_file: ",
                   bench_.certs().folder, "/server.crt, key_file: ", bench_.certs().folder,
                   "/server.key, client_ca_file: ", bench_.certs().folder,
                   "/ca.crt}}]\nserve: {router: false, inference: true}\nmodel: {path: ",
                   bench_.quick_model(), ", threads: 1}\n"));
  auto far = Run({"--config", bench_.File("far.yaml")});
  const std::string line = far->WaitForLine("listening on ");
  const std::string address = line.substr(line.rfind(' ') + 1);
  far->WaitForLine("ready");
  bench_.WritePolicy("policy.yaml", "dns:///" + address, kFixedFar);
  auto near = RunDaemon(WriteDaemonFile(bench_.quick_model()));
  const Heard before = AskRouter(Connect(), Question("x"));
  ASSERT_TRUE(before.finished()) << before.status.error_message();
  EXPECT_EQ(before.last().finished().source(), "home");
  far->Signal(SIGKILL);
  far->Wait();
  const Heard after = AskRouter(Connect(), Question("x"));
  ASSERT_TRUE(after.finished()) << after.status.error_message();
  EXPECT_EQ(after.last().finished().source(), "near");
  EXPECT_TRUE(after.last().finished().flagged());
  EXPECT_EQ(after.text, before.text);  // the same tiny model stands on both sides
}

}  // namespace
}  // namespace nearfar
