// What a session promises its caller: tokens, text, stop reasons, the prefix cache, refusals.

#include "local_engine/session.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/base/half.h"
#include "local_engine/engine.h"
#include "tests/testing/recording_sink.h"
#include "tests/testing/tiny_engine.h"

namespace nearfar {
namespace {

using ::nearfar::testing::OpenTinyEngine;
using ::nearfar::testing::RecordingSink;
using ::nearfar::testing::RunGeneration;
using ::nearfar::testing::SomePrompt;
using ::nearfar::testing::WanderingModel;

class SessionTest : public ::testing::Test {
 protected:
  std::unique_ptr<Session> NewSession() { return engine_->NewSession().value(); }

  std::shared_ptr<Engine> engine_ = OpenTinyEngine();
};

TEST_F(SessionTest, MaxTokensAreGeneratedAndCounted) {
  const auto session = NewSession();
  const auto sink = RunGeneration(*session, {.prompt = SomePrompt(5), .max_tokens = 20});
  EXPECT_EQ(sink->result.reason, StopReason::kMaxTokens);
  EXPECT_TRUE(sink->result.status.ok());
  EXPECT_EQ(sink->tokens.size(), 20u);
  EXPECT_EQ(sink->result.completion_tokens, 20);
  EXPECT_EQ(sink->result.prompt_tokens, 5);
  EXPECT_EQ(sink->result.reused_tokens, 0);
  EXPECT_GT(sink->result.prefill_seconds, 0);
  EXPECT_GT(sink->result.decode_seconds, 0);
  EXPECT_EQ(sink->prefills, 1);
  EXPECT_EQ(sink->dones, 1);
  // The last token was never fed back.
  EXPECT_EQ(session->cached_tokens(), 5 + 19);
}

TEST_F(SessionTest, EveryTokenSaysHowSureTheModelWas) {
  const auto session = NewSession();
  const auto sink = RunGeneration(*session, {.prompt = SomePrompt(5), .max_tokens = 30});
  const float most = std::log(static_cast<float>(engine_->info().vocabulary));
  for (const Token& token : sink->tokens) {
    EXPECT_LE(token.logprob, 0);
    EXPECT_GE(token.logprob, -most);  // the best of n is at least as likely as 1 / n
    EXPECT_GE(token.entropy, 0);
    EXPECT_LE(token.entropy, most + 1e-4f);
    EXPECT_GE(token.margin, 0);
    EXPECT_LE(token.margin, 1);
  }
  // The first token's numbers, from the logits behind the prompt.
  const std::vector<float> logits = engine_->Logits(SomePrompt(5)).value();
  const float* last = logits.data() + 4 * engine_->info().vocabulary;
  double sum = 0;
  for (int id = 0; id < engine_->info().vocabulary; ++id) sum += std::exp(last[id]);
  EXPECT_NEAR(sink->tokens[0].logprob, last[sink->tokens[0].id] - std::log(sum), 1e-4);
}

TEST_F(SessionTest, TheTextsConcatenatedAreTheAnswer) {
  const auto session = NewSession();
  const auto sink = RunGeneration(*session, {.prompt = SomePrompt(3), .max_tokens = 100});
  // Random bytes: the engine replaces what is not UTF-8, so compare where it is.
  const std::string bytes = engine_->Detokenize(sink->ids());
  EXPECT_GT(bytes.size(), 50u);
  std::string ascii, expected;
  for (const char c : sink->text()) ascii += (c & 0x80) == 0 ? std::string(1, c) : "";
  for (const char c : bytes) expected += (c & 0x80) == 0 ? std::string(1, c) : "";
  EXPECT_EQ(ascii, expected);
}

TEST_F(SessionTest, TheSameSeedGivesTheSameTokens) {
  const GenerateRequest request = {
      .prompt = SomePrompt(5), .max_tokens = 40, .sampling = {.temperature = 2, .seed = 7}};
  GenerateRequest other = request;
  other.sampling.seed = 8;
  const auto session = NewSession();
  const auto first = RunGeneration(*session, request)->ids();
  EXPECT_EQ(RunGeneration(*session, request)->ids(), first);
  EXPECT_NE(RunGeneration(*session, other)->ids(), first);
}

// ---- The prefix cache.

TEST_F(SessionTest, ACommonPrefixIsReusedAndChangesNothing) {
  const auto session = NewSession();
  const auto first = RunGeneration(*session, {.prompt = SomePrompt(40), .max_tokens = 10});
  std::vector<int32_t> prompt = SomePrompt(40);
  for (const int32_t id : first->ids()) prompt.push_back(id);
  prompt.push_back(42);
  const auto second = RunGeneration(*session, {.prompt = prompt, .max_tokens = 12});
  EXPECT_EQ(second->result.reused_tokens, 40 + 9);  // the tenth was never fed
  EXPECT_EQ(second->ids(), testing::GenerateAlone(*engine_, {.prompt = prompt, .max_tokens = 12}));
}

TEST_F(SessionTest, TheLastTokenOfAKnownPromptIsComputedAgain) {
  const auto session = NewSession();
  const GenerateRequest request = {.prompt = SomePrompt(40), .max_tokens = 10};
  const auto first = RunGeneration(*session, request);
  const EngineStats before = engine_->stats();
  const auto second = RunGeneration(*session, request);
  EXPECT_EQ(second->result.reused_tokens, 39);
  EXPECT_EQ(engine_->stats().prefill_tokens - before.prefill_tokens, 1);
  EXPECT_EQ(second->ids(), first->ids());
}

TEST_F(SessionTest, ADifferentPromptKeepsOnlyWhatIsCommon) {
  const auto session = NewSession();
  RunGeneration(*session, {.prompt = SomePrompt(40), .max_tokens = 4});
  std::vector<int32_t> prompt = SomePrompt(40);
  prompt[17] ^= 1;
  const auto second = RunGeneration(*session, {.prompt = prompt, .max_tokens = 12});
  EXPECT_EQ(second->result.reused_tokens, 17);
  EXPECT_EQ(second->ids(), testing::GenerateAlone(*engine_, {.prompt = prompt, .max_tokens = 12}));
}

TEST(SessionPrefix, IsReusedOfKeysAndValuesInBytes) {
  const auto engine = OpenTinyEngine({.kv_type = "q8_0"});
  const auto session = engine->NewSession().value();
  const GenerateRequest request = {.prompt = SomePrompt(300), .max_tokens = 12};
  const auto first = RunGeneration(*session, request);
  EXPECT_EQ(first->result.reason, StopReason::kMaxTokens);
  const auto second = RunGeneration(*session, request);
  EXPECT_EQ(second->result.reused_tokens, 299);
  EXPECT_EQ(second->ids(), first->ids());
}

// ---- How a generation ends.

TEST(SessionEnds, WhereTheContextIsFull) {
  const auto engine = OpenTinyEngine({.context_tokens = 32});
  const auto session = engine->NewSession().value();
  const auto sink = RunGeneration(*session, {.prompt = SomePrompt(30), .max_tokens = 100});
  EXPECT_EQ(sink->result.reason, StopReason::kContextFull);
  // Positions 30 and 31 are still fed; the third token needs no place any more.
  EXPECT_EQ(sink->tokens.size(), 3u);
  EXPECT_EQ(session->cached_tokens(), 32);
  const auto full = RunGeneration(*session, {.prompt = SomePrompt(32), .max_tokens = 100});
  EXPECT_EQ(full->result.reason, StopReason::kContextFull);
  EXPECT_EQ(full->tokens.size(), 1u);
}

TEST(SessionEnds, AtTheEndOfTextWhichIsNoToken) {
  const std::vector<int32_t> ids =
      testing::GenerateAlone(*OpenTinyEngine(), {.prompt = SomePrompt(5), .max_tokens = 40});
  // The same weights with another end-of-text: the last id that has not come before its place.
  std::set<int32_t> seen;
  size_t place = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (seen.insert(ids[i]).second) place = i;
  }
  ASSERT_GT(place, 0u);
  testing::GgufWriter writer = testing::TinyModel(WanderingModel());
  ASSERT_TRUE(writer.Remove("tokenizer.ggml.eos_token_id"));
  writer.AddUint32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(ids[place]));
  const std::string path = testing::WriteTestFile("eos.gguf", writer.Finish());
  const auto engine = Engine::Open(path, {.threads = 1}).value();
  const auto session = engine->NewSession().value();
  const auto sink = RunGeneration(*session, {.prompt = SomePrompt(5), .max_tokens = 40});
  EXPECT_EQ(sink->result.reason, StopReason::kEndOfText);
  EXPECT_EQ(sink->ids(), std::vector<int32_t>(ids.begin(), ids.begin() + place));
  EXPECT_EQ(sink->result.completion_tokens, static_cast<int>(place));
}

TEST_F(SessionTest, AStopStringEndsTheTextBeforeIt) {
  const auto session = NewSession();
  const auto free_run = RunGeneration(*session, {.prompt = SomePrompt(3), .max_tokens = 60});
  const std::string text = free_run->text();
  // For every pair of neighbours: the end of one and the beginning of the other as stop string.
  int across = 0;
  for (size_t i = 10; i + 1 < free_run->tokens.size(); ++i) {
    const std::string& left = free_run->tokens[i].text;
    const std::string& right = free_run->tokens[i + 1].text;
    if (left.empty() || right.empty() || (left.back() & 0x80) || (right[0] & 0x80)) continue;
    const std::string stop = {left.back(), right[0]};
    const auto sink =
        RunGeneration(*session, {.prompt = SomePrompt(3), .max_tokens = 60, .stop = {stop}});
    EXPECT_EQ(sink->result.reason, StopReason::kStopString);
    EXPECT_EQ(sink->text(), text.substr(0, text.find(stop)));
    EXPECT_EQ(sink->result.completion_tokens, static_cast<int>(sink->tokens.size()));
    EXPECT_LT(sink->tokens.size(), 60u);
    ++across;
  }
  EXPECT_GT(across, 5) << "the model's text has no neighbours to test with";
}

TEST_F(SessionTest, TextHeldBackForAStopStringIsDeliveredAtTheEnd) {
  const auto session = NewSession();
  const auto free_run = RunGeneration(*session, {.prompt = SomePrompt(3), .max_tokens = 60});
  const std::string text = free_run->text();
  // What the last tokens say, and more that never comes: held back until the end.
  size_t from = text.size();
  while (from > 0 && text.size() - from < 3 && !(text[from - 1] & 0x80)) --from;
  if (from == text.size()) from = text.size() - 3;  // U+FFFD
  const std::string stop = text.substr(from) + "and more";
  const auto sink =
      RunGeneration(*session, {.prompt = SomePrompt(3), .max_tokens = 60, .stop = {stop}});
  EXPECT_EQ(sink->result.reason, StopReason::kMaxTokens);
  EXPECT_EQ(sink->text(), text);
  EXPECT_EQ(sink->ids(), free_run->ids());
}

// A tensor of a three-layer model, Q8_0 with its own output matrix, that holds what is no number.
struct Damage {
  const char* tensor;
  float value;  // of every element, or of every block's scale
};

std::string WriteDamaged(const Damage& damage) {
  testing::GgufWriter writer =
      testing::TinyModel({.weights = DType::kQ8_0, .tied_embeddings = false, .layers = 3});
  EXPECT_TRUE(writer.Remove(damage.tensor));
  if (std::string(damage.tensor).find("norm") != std::string::npos) {
    writer.AddTensor(damage.tensor, {64}, DType::kF32, std::vector<float>(64, damage.value));
  } else {
    constexpr size_t kBlockBytes = 34;  // of 32 elements: an F16 scale, then the values
    std::vector<uint8_t> blocks(64 * 64 / 32 * kBlockBytes, 1);
    const uint16_t scale = FloatToHalf(damage.value);
    for (size_t at = 0; at < blocks.size(); at += kBlockBytes) {
      std::memcpy(&blocks[at], &scale, sizeof(scale));
    }
    writer.AddTensorBytes(damage.tensor, {64, 64}, static_cast<uint32_t>(DType::kQ8_0), blocks);
  }
  return testing::WriteTestFile("damaged.gguf", writer.Finish());
}

// Wherever the damage is, and with whatever kernels: the quantized input of a later product does
// not hide it.
TEST(SessionEnds, WithAnErrorWhereTheLogitsAreNotFinite) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const Damage all[] = {{"output_norm.weight", kNaN},           {"output_norm.weight", kInfinity},
                        {"blk.1.attn_norm.weight", kNaN},       {"blk.1.ffn_norm.weight", kNaN},
                        {"blk.1.ffn_norm.weight", kInfinity},   {"blk.0.attn_q.weight", kNaN},
                        {"blk.1.attn_output.weight", kInfinity}};
  for (const Damage& damage : all) {
    for (const char* kernels : {"", "scalar", "reference"}) {
      SCOPED_TRACE(std::string(damage.tensor) + " " + kernels);
      const auto engine =
          Engine::Open(WriteDamaged(damage), {.threads = 1, .kernels = kernels}).value();
      const auto session = engine->NewSession().value();
      const auto sink = RunGeneration(*session, {.prompt = SomePrompt(3)});
      EXPECT_EQ(sink->result.reason, StopReason::kError);
      EXPECT_EQ(sink->result.status.code(), absl::StatusCode::kDataLoss);
      EXPECT_THAT(sink->result.status.message(), ::testing::HasSubstr("not finite"));
      EXPECT_TRUE(sink->tokens.empty());
      EXPECT_EQ(sink->dones, 1);
    }
  }
}

TEST_F(SessionTest, CancelBetweenTokensDeliversNoMore) {
  const auto session = NewSession();
  auto sink = std::make_shared<RecordingSink>();
  sink->on_token = [&](const Token&) {
    if (sink->tokens.size() == 5) session->Cancel();
  };
  ASSERT_TRUE(session->Generate({.prompt = SomePrompt(3), .max_tokens = 100}, sink).ok());
  sink->Wait();
  EXPECT_EQ(sink->result.reason, StopReason::kCancelled);
  EXPECT_TRUE(sink->result.status.ok());
  EXPECT_EQ(sink->tokens.size(), 5u);
  // The session is as good as before, and what was computed is still of use.
  const auto again = RunGeneration(*session, {.prompt = SomePrompt(3), .max_tokens = 10});
  EXPECT_EQ(again->result.reason, StopReason::kMaxTokens);
  EXPECT_EQ(again->result.reused_tokens, 2);
}

TEST_F(SessionTest, CancelWithNothingRunningDoesNothing) {
  const auto session = NewSession();
  session->Cancel();
  const auto sink = RunGeneration(*session, {.prompt = SomePrompt(3), .max_tokens = 4});
  EXPECT_EQ(sink->result.reason, StopReason::kMaxTokens);
}

// ---- What is refused.

TEST_F(SessionTest, RequestsOutsideTheirRangeAreRefused) {
  const auto session = NewSession();
  const auto refuse = [&](GenerateRequest request) {
    auto sink = std::make_shared<RecordingSink>();
    const absl::Status status = session->Generate(std::move(request), sink);
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(sink->dones, 0);
    return status;
  };
  EXPECT_EQ(refuse({}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refuse({.prompt = {0}, .max_tokens = 0}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refuse({.prompt = {-1}}).code(), absl::StatusCode::kInvalidArgument);
  const int vocabulary = engine_->info().vocabulary;
  const absl::Status outside = refuse({.prompt = {0, vocabulary}});
  EXPECT_EQ(outside.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(outside.message(), ::testing::HasSubstr("prompt[1]"));
  EXPECT_EQ(refuse({.prompt = {0}, .sampling = {.temperature = -1}}).code(),
            absl::StatusCode::kInvalidArgument);
  const absl::Status longer = refuse({.prompt = SomePrompt(engine_->info().context_tokens + 1)});
  EXPECT_EQ(longer.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(longer.message(), ::testing::HasSubstr("the context holds 512"));
  EXPECT_EQ(session->Generate({.prompt = {0}}, nullptr).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine_->stats().live_generations, 0);
}

TEST_F(SessionTest, OneGenerationAtATime) {
  const auto session = NewSession();
  auto sink = std::make_shared<RecordingSink>();
  absl::Status second;
  sink->on_token = [&](const Token&) {
    second = session->Generate({.prompt = SomePrompt(2)}, std::make_shared<RecordingSink>());
  };
  ASSERT_TRUE(session->Generate({.prompt = SomePrompt(3), .max_tokens = 2}, sink).ok());
  sink->Wait();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SessionTest, TheNextMayBeAskedForWhereTheLastIsDone) {
  const auto session = NewSession();
  auto first = std::make_shared<RecordingSink>();
  auto second = std::make_shared<RecordingSink>();
  absl::Status asked = absl::UnknownError("not asked");
  first->on_done = [&](const GenerateResult&) {
    asked = session->Generate({.prompt = SomePrompt(4), .max_tokens = 3}, second);
  };
  ASSERT_TRUE(session->Generate({.prompt = SomePrompt(3), .max_tokens = 2}, first).ok());
  first->Wait();
  ASSERT_TRUE(asked.ok()) << asked;
  second->Wait();
  EXPECT_EQ(second->tokens.size(), 3u);
}

TEST(StopReasonNames, AreUniqueAndSpoken) {
  std::set<std::string> names;
  for (const StopReason reason :
       {StopReason::kEndOfText, StopReason::kStopString, StopReason::kMaxTokens,
        StopReason::kContextFull, StopReason::kCancelled, StopReason::kError}) {
    EXPECT_TRUE(names.insert(StopReasonName(reason)).second);
  }
  EXPECT_EQ(names.count("unknown"), 0u);
}

}  // namespace
}  // namespace nearfar
