// Holds router/cli/chat_command.cc, and what a session's taint means to a person at the command
// line, through both doors: a router in this process, and a daemon behind a Unix socket.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "policies/policy_file.h"
#include "router/cli/exit_codes.h"
#include "router/daemon/daemon.h"
#include "tests/router/cli/captured_terminal.h"
#include "tests/router/daemon/daemon_bench.h"

namespace nearfar::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Wants far whatever is asked, and nobody is there; a password keeps its session home.
constexpr char kPolicy[] =
    "choose: {kind: fixed, route: far}\n"
    "rules:\n"
    "  - {name: keep, when: {keyword: [password]}, then: {route: near, taint: session}}\n";
constexpr char kWentFar[] = "far_failed";
constexpr char kForgotten[] = "what was said so far is forgotten";

class ChatCommand : public ::testing::TestWithParam<bool /*a daemon*/> {
 protected:
  void SetUp() override {
    setenv("NEARFAR_STATE", bench_.File("state").c_str(), 1);
    policy_ = bench_.WritePolicy("policy.yaml", "unix:" + bench_.File("nobody.sock"), kPolicy);
    Restart();
  }
  void TearDown() override { unsetenv("NEARFAR_STATE"); }

  // Of the daemon; a router in this process ends with its command.
  void Restart() {
    if (!GetParam()) return;
    daemon_.reset();
    daemon::DaemonConfig config;
    config.listen.push_back({Address(), std::nullopt});
    config.model_path = bench_.quick_model();
    config.threads = 1;
    config.policy_path = policy_;
    absl::StatusOr<PolicyConfig> loaded = LoadPolicyFile(policy_);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    config.policy = *std::move(loaded);
    config.state_dir = bench_.File("state");
    auto started = daemon::Daemon::Start(std::move(config));
    ASSERT_TRUE(started.ok()) << started.status();
    daemon_ = *std::move(started);
  }
  std::string Address() const { return "unix:" + bench_.File("near.sock"); }

  // What a conversation of these lines says on standard error: footers and notes.
  std::string Chat(const std::string& lines, std::vector<std::string> more = {},
                   int code = kExitOk) {
    std::vector<std::string> words = {"chat", "--max-tokens", "3"};
    if (GetParam()) {
      words.insert(words.end(), {"--daemon", Address()});
    } else {
      words.insert(words.end(), {"--policy", policy_, "--model", bench_.quick_model()});
    }
    words.insert(words.end(), more.begin(), more.end());
    std::istringstream input(lines);
    std::streambuf* terminal = std::cin.rdbuf(input.rdbuf());
    const ProgramRun run = RunNearfar(words);
    std::cin.rdbuf(terminal);
    EXPECT_EQ(run.code, code) << run.err;
    out_ = run.out;
    return run.err;
  }

  testing::DaemonBench bench_;
  std::string policy_;
  std::string out_;  // of the last conversation: answers and explanations
  std::unique_ptr<daemon::Daemon> daemon_;
};

INSTANTIATE_TEST_SUITE_P(Doors, ChatCommand, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Daemon" : "InProcess"; });

TEST_P(ChatCommand, ClearingTheTaintForgetsWhatTaintedIt) {
  const std::string said = Chat("my password is sunshine\nhello\n/clear-taint\nhello\n/quit\n");
  const size_t cleared = said.find(kForgotten);
  ASSERT_NE(cleared, std::string::npos) << said;
  EXPECT_THAT(said.substr(0, cleared), Not(HasSubstr(kWentFar)));
  EXPECT_THAT(said.substr(cleared), HasSubstr(kWentFar));
}

TEST_P(ChatCommand, ASessionStaysTaintedWhenTheProcessEnds) {
  Chat("my password is sunshine\n", {"--session", "alice"});
  Restart();
  EXPECT_THAT(Chat("hello\n", {"--session", "alice"}), Not(HasSubstr(kWentFar)));
  EXPECT_THAT(Chat("hello\n", {"--session", "bob"}), HasSubstr(kWentFar));
  Chat("/clear-taint\n", {"--session", "alice"});
  Restart();
  EXPECT_THAT(Chat("hello\n", {"--session", "alice"}), HasSubstr(kWentFar));
}

TEST_P(ChatCommand, AKeyThatIsNoneIsNotCleared) {
  const std::string said = Chat("/clear-taint\n", {"--session", std::string(257, 'a')}, kExitData);
  EXPECT_THAT(said, HasSubstr("session_key"));
  EXPECT_THAT(said, Not(HasSubstr(kForgotten)));
}

TEST_P(ChatCommand, ExplainTellsOfNowAndHelpOfWhatRouteDoes) {
  Chat("hello\n/explain\n/help\n");
  EXPECT_THAT(out_, HasSubstr("now, this question would go "));
  EXPECT_THAT(out_, HasSubstr("far: far is preferred"));
}

}  // namespace
}  // namespace nearfar::cli
