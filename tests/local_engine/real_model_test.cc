// The smallest default model, if it is on this machine: real words come out.

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/engine.h"
#include "tests/testing/recording_sink.h"
#include "tests/testing/tiny_engine.h"

namespace nearfar {
namespace {

using ::nearfar::testing::RunGeneration;

std::string ModelPath() {
  const char* folder = std::getenv("NEARFAR_MODELS");
  const char* home = std::getenv("HOME");
  const std::string models =
      folder != nullptr && folder[0] != '\0'
          ? folder
          : std::string(home != nullptr ? home : "") + "/.cache/nearfar/models";
  return models + "/smollm2-135m-instruct-q4_1.gguf";
}

class RealModel : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(ModelPath())) {
      GTEST_SKIP() << ModelPath() << " is not here; scripts/models.sh fetches it";
    }
    engine_ = Engine::Open(ModelPath(), {}).value();
  }

  // Greedy continuation of a raw text; its first tokens are no near-ties, so that any kernels
  // agree.
  std::string Continue(Session& session, const std::string& text) {
    const auto sink = RunGeneration(session, {.prompt = engine_->Tokenize(text), .max_tokens = 8});
    EXPECT_TRUE(sink->result.status.ok()) << sink->result.status;
    return sink->text();
  }

  std::shared_ptr<Engine> engine_;
};

TEST_F(RealModel, IsDescribed) {
  EXPECT_EQ(engine_->info().quantization, "Q4_1");
  EXPECT_EQ(engine_->info().layers, 30);
  EXPECT_EQ(engine_->info().vocabulary, 49152);
  EXPECT_EQ(engine_->info().template_name, "smollm2");
  EXPECT_EQ(engine_->info().parameters, 134515008);
}

TEST_F(RealModel, ContinuesWhatEverybodyKnows) {
  const auto session = engine_->NewSession().value();
  EXPECT_THAT(Continue(*session, "The capital of France is"), ::testing::StartsWith(" Paris"));
  // From the cached prefix.
  EXPECT_THAT(Continue(*session, "The capital of Italy is"), ::testing::StartsWith(" Rome"));
  EXPECT_THAT(Continue(*session, "One, two, three, four,"), ::testing::StartsWith(" five, six"));
}

TEST_F(RealModel, AnswersAChatAndEndsItsTurn) {
  const auto session = engine_->NewSession().value();
  const auto sink = RunGeneration(
      *session,
      {.prompt = engine_->TokenizeChat({{"user", "Say hello."}}).value(), .max_tokens = 200});
  EXPECT_EQ(sink->result.reason, StopReason::kEndOfText);
  EXPECT_THAT(sink->text(),
              ::testing::AnyOf(::testing::HasSubstr("ello"), ::testing::HasSubstr("help")));
}

}  // namespace
}  // namespace nearfar
