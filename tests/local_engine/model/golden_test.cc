// The engine's answers on the default models against llama.cpp's: tests/oracle/golden/greedy-*.json
// (answers that run free, to decided prompts) and plain-*.json (each next token of the peer's own
// answers, to prompts as they come), made by tests/oracle/greedy.py. Two implementations that round
// differently may part where two tokens are nearly as likely, and nowhere else; and however tokens
// are batched, an answer is the same.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "local_engine/engine.h"

namespace nearfar {
namespace {

constexpr int kTokens = 64;
constexpr size_t kPrompts = 20;
constexpr int kEqualAtLeast = 15;
constexpr double kNearTieNats = 0.2;
// Along the peer's answers: llama.cpp agrees with itself as often, and as nearly, when only its
// flash attention is switched (greedy.py --self).
constexpr double kEqualTokensAtLeast = 0.95;
constexpr double kClearMarginNats = 1.0;

struct GoldenAnswer {
  std::vector<int32_t> prompt;
  std::vector<int32_t> tokens;  // the end-of-turn token included
  std::vector<double> margins;  // nats between the two best, at each of tokens
};

// The numbers of the array `name` in one line of the file.
template <typename T>
std::vector<T> ArrayOf(const std::string& line, const std::string& name) {
  std::vector<T> numbers;
  const std::string opening = "\"" + name + "\":[";
  const size_t start = line.find(opening);
  if (start == std::string::npos) return numbers;
  std::string body = line.substr(start + opening.size());
  body.resize(body.find(']'));
  std::replace(body.begin(), body.end(), ',', ' ');
  std::istringstream words(body);
  for (T number; words >> number;) numbers.push_back(number);
  return numbers;
}

std::vector<GoldenAnswer> ReadGolden(const std::string& kind, const std::string& model) {
  std::ifstream file(NEARFAR_SOURCE_DIR "/tests/oracle/golden/" + kind + "-" + model + ".json");
  std::vector<GoldenAnswer> answers;
  for (std::string line; std::getline(file, line);) {
    if (line.find("\"text\"") == std::string::npos) continue;
    answers.push_back({ArrayOf<int32_t>(line, "ids"), ArrayOf<int32_t>(line, "tokens"),
                       ArrayOf<double>(line, "margins")});
  }
  return answers;
}

std::string ModelPath(const std::string& model) {
  const char* folder = std::getenv("NEARFAR_MODELS");
  const char* home = std::getenv("HOME");
  const std::string base =
      folder != nullptr ? folder
                        : std::string(home != nullptr ? home : "") + "/.cache/nearfar/models";
  return base + "/" + model + ".gguf";
}

// Collects one answer.
class CollectingSink : public GenerateSink {
 public:
  void OnToken(const Token& token) override { tokens_.push_back(token); }
  void OnDone(const GenerateResult& result) override {
    result_ = result;
    done_.Notify();
  }
  const std::vector<Token>& Wait() {
    done_.WaitForNotification();
    EXPECT_NE(result_.reason, StopReason::kError) << result_.status;
    return tokens_;
  }
  bool ended() const { return result_.reason == StopReason::kEndOfText; }

 private:
  std::vector<Token> tokens_;
  GenerateResult result_;
  absl::Notification done_;
};

class GoldenTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string path = ModelPath(GetParam());
    if (!std::filesystem::exists(path)) {
      GTEST_SKIP() << path << " is missing (run scripts/models.sh " << GetParam() << ")";
    }
    golden_ = ReadGolden("greedy", GetParam());
    ASSERT_EQ(golden_.size(), kPrompts);
    EngineOptions options;
    options.context_tokens = 512;
    options.max_sessions = kPrompts;
    auto engine = Engine::Open(path, options);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
  }

  // Greedy answers to these prompts, all sessions stepping together.
  std::vector<std::shared_ptr<CollectingSink>> Answer(absl::Span<const GoldenAnswer> prompts) {
    std::vector<std::unique_ptr<Session>> sessions;
    std::vector<std::shared_ptr<CollectingSink>> sinks;
    for (const GoldenAnswer& prompt : prompts) {
      auto session = engine_->NewSession();
      EXPECT_TRUE(session.ok()) << session.status();
      if (!session.ok()) return {};
      GenerateRequest request;
      request.prompt = prompt.prompt;
      request.max_tokens = kTokens;
      sinks.push_back(std::make_shared<CollectingSink>());
      const absl::Status status = (*session)->Generate(std::move(request), sinks.back());
      EXPECT_TRUE(status.ok()) << status;
      sessions.push_back(*std::move(session));
    }
    for (const auto& sink : sinks) sink->Wait();
    return sinks;
  }

  std::vector<GoldenAnswer> golden_;
  std::shared_ptr<Engine> engine_;
};

// Where two answers part, or -1. An answer that ended parts from one that goes on.
int FirstDifference(CollectingSink& ours, const GoldenAnswer& golden) {
  const std::vector<Token>& tokens = ours.Wait();
  for (size_t i = 0; i < golden.tokens.size(); ++i) {
    if (i < tokens.size() && tokens[i].id == golden.tokens[i]) continue;
    const bool both_ended = i == tokens.size() && ours.ended() && i + 1 == golden.tokens.size() &&
                            golden.tokens.size() < kTokens;
    return both_ended ? -1 : static_cast<int>(i);
  }
  return -1;
}

TEST_P(GoldenTest, GreedyAnswersEqualThePeersButForNearTies) {
  const auto sinks = Answer(golden_);
  ASSERT_EQ(sinks.size(), kPrompts);
  int equal = 0;
  double widest = 0;
  for (size_t i = 0; i < golden_.size(); ++i) {
    const int difference = FirstDifference(*sinks[i], golden_[i]);
    if (difference < 0) {
      ++equal;
      continue;
    }
    const double margin = golden_[i].margins[static_cast<size_t>(difference)];
    widest = std::max(widest, margin);
    EXPECT_LT(margin, kNearTieNats) << "prompt " << i << " parts at token " << difference;
  }
  EXPECT_GE(equal, kEqualAtLeast);
  RecordProperty("equal", equal);
  RecordProperty("widest_margin_at_a_difference", std::to_string(widest));
}

TEST_P(GoldenTest, NextTokensOfPlainAnswersAreThePeersButForNarrowMargins) {
  const std::vector<GoldenAnswer> plain = ReadGolden("plain", GetParam());
  ASSERT_EQ(plain.size(), kPrompts);
  const size_t vocabulary = static_cast<size_t>(engine_->info().vocabulary);
  size_t tokens = 0;
  size_t equal = 0;
  double widest = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    std::vector<int32_t> text = plain[i].prompt;
    text.insert(text.end(), plain[i].tokens.begin(), plain[i].tokens.end());
    const auto logits = engine_->Logits(text);
    ASSERT_TRUE(logits.ok()) << logits.status();
    for (size_t t = 0; t < plain[i].tokens.size(); ++t) {
      const float* row = logits->data() + (plain[i].prompt.size() + t - 1) * vocabulary;
      const auto best = std::max_element(row, row + vocabulary) - row;
      ++tokens;
      if (best == plain[i].tokens[t]) {
        ++equal;
        continue;
      }
      widest = std::max(widest, plain[i].margins[t]);
      EXPECT_LT(plain[i].margins[t], kClearMarginNats) << "prompt " << i << ", token " << t;
    }
  }
  EXPECT_GE(equal, kEqualTokensAtLeast * tokens);
  RecordProperty("equal", std::to_string(equal) + " of " + std::to_string(tokens));
  RecordProperty("widest_margin_at_a_difference", std::to_string(widest));
}

TEST_P(GoldenTest, AnAnswerDoesNotDependOnTheSessionsBesideIt) {
  const absl::Span<const GoldenAnswer> some = absl::MakeConstSpan(golden_).subspan(0, 2);
  const auto together = Answer(some);
  ASSERT_EQ(together.size(), some.size());
  for (size_t i = 0; i < some.size(); ++i) {
    const auto alone = Answer(some.subspan(i, 1));
    ASSERT_EQ(alone.size(), 1u);
    const std::vector<Token>& a = together[i]->Wait();
    const std::vector<Token>& b = alone[0]->Wait();
    ASSERT_EQ(a.size(), b.size());
    for (size_t t = 0; t < a.size(); ++t) {
      ASSERT_EQ(a[t].id, b[t].id) << "prompt " << i << ", token " << t;
      ASSERT_EQ(a[t].logprob, b[t].logprob) << "prompt " << i << ", token " << t;
    }
  }
}

// ln p(id) of one row of logits.
double LogProbability(absl::Span<const float> logits, int32_t id) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(logit - largest);
  return logits[static_cast<size_t>(id)] - largest - std::log(sum);
}

// Token by token through the KV cache, or the whole text in one pass: the same distribution.
TEST_P(GoldenTest, DecodingAgreesWithOnePassOverTheText) {
  const auto sinks = Answer(absl::MakeConstSpan(golden_).subspan(0, 1));
  ASSERT_EQ(sinks.size(), 1u);
  std::vector<int32_t> text = golden_[0].prompt;
  for (const Token& token : sinks[0]->Wait()) text.push_back(token.id);
  const auto logits = engine_->Logits(text);
  ASSERT_TRUE(logits.ok()) << logits.status();
  const size_t vocabulary = static_cast<size_t>(engine_->info().vocabulary);
  const size_t prompt = golden_[0].prompt.size();
  for (size_t t = 0; t < sinks[0]->Wait().size(); ++t) {
    const Token& token = sinks[0]->Wait()[t];
    const auto row =
        absl::MakeConstSpan(*logits).subspan((prompt + t - 1) * vocabulary, vocabulary);
    EXPECT_NEAR(LogProbability(row, token.id), token.logprob, 1e-4) << "token " << t;
  }
}

INSTANTIATE_TEST_SUITE_P(DefaultModels, GoldenTest,
                         ::testing::Values("smollm2-135m-instruct-q4_1",
                                           "qwen2.5-coder-0.5b-instruct-q4_k_m",
                                           "qwen2.5-coder-1.5b-instruct-q4_k_m"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace_if(
                               name.begin(), name.end(),
                               [](char c) { return c == '-' || c == '.'; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace nearfar
