// The public face: what Open accepts and refuses, what it says of a model, tokens and text.

#include "local_engine/engine.h"

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "local_engine/base/sha256.h"
#include "local_engine/base/thermometer.h"
#include "local_engine/gguf/gguf_file.h"
#include "local_engine/quant/formats.h"
#include "tests/testing/recording_sink.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_engine.h"

namespace nearfar {
namespace {

using ::nearfar::testing::OpenTinyEngine;
using ::nearfar::testing::RecordingSink;
using ::nearfar::testing::RunGeneration;
using ::nearfar::testing::SomePrompt;
using ::nearfar::testing::TinyModelOptions;
using ::testing::HasSubstr;

// ---- Every family in every format.

class EveryFormat : public ::testing::TestWithParam<TinyModelOptions> {};

std::vector<TinyModelOptions> AllModels() {
  std::vector<TinyModelOptions> models;
  for (const char* architecture : {"llama", "qwen2"}) {
    for (const QuantFormat& format : AllFormats()) {
      models.push_back({.architecture = architecture, .weights = format.dtype});
    }
  }
  return models;
}

std::string ModelName(const TinyModelOptions& options) {
  return options.architecture + FindFormat(options.weights)->name;
}

TEST_P(EveryFormat, OpensSaysWhatItIsAndGenerates) {
  const auto engine = OpenTinyEngine({}, GetParam());
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(engine->info().architecture, GetParam().architecture);
  EXPECT_EQ(engine->info().quantization, FindFormat(GetParam().weights)->name);
  const auto session = engine->NewSession().value();
  const auto sink = RunGeneration(*session, {.prompt = SomePrompt(9), .max_tokens = 5});
  EXPECT_TRUE(sink->result.status.ok()) << sink->result.status;
  EXPECT_GT(sink->result.completion_tokens, 0);
}

INSTANTIATE_TEST_SUITE_P(All, EveryFormat, ::testing::ValuesIn(AllModels()),
                         [](const auto& info) { return ModelName(info.param); });

// ---- What it says.

int LongestText(const Engine& engine) {
  size_t longest = 0;
  for (int32_t id = 0; id < engine.info().vocabulary; ++id) {
    longest = std::max(longest, engine.Detokenize({id}).size());
  }
  return static_cast<int>(longest);
}

TEST(EngineInfo, DescribesTheModel) {
  const TinyModelOptions options = {.weights = DType::kQ4_1, .layers = 3, .context = 300};
  const std::string path = testing::WriteTinyModel(options, "info.gguf");
  const auto engine = Engine::Open(path, {.threads = 3, .kernels = "scalar"}).value();
  const ModelInfo& info = engine->info();
  const auto file = GgufFile::Open(path).value();
  EXPECT_EQ(info.path, path);
  EXPECT_EQ(info.name, "tiny-llama");
  EXPECT_EQ(info.architecture, "llama");
  EXPECT_EQ(info.quantization, "Q4_1");
  EXPECT_EQ(info.fingerprint, file->Fingerprint());
  EXPECT_EQ(info.template_name, "chatml");
  EXPECT_EQ(info.template_hash, Sha256Hex(file->GetString("tokenizer.chat_template").value()));
  EXPECT_EQ(info.kernels, "scalar");
  EXPECT_GT(info.parameters, 0);
  EXPECT_EQ(info.file_bytes, file->file_bytes());
  EXPECT_EQ(info.context_tokens, 300);
  EXPECT_EQ(info.trained_context_tokens, 300);
  EXPECT_EQ(info.vocabulary, static_cast<int>(testing::TheTinyVocabulary().tokens.size()));
  EXPECT_EQ(info.longest_token_bytes, LongestText(*engine));
  EXPECT_EQ(info.layers, 3);
  EXPECT_EQ(info.threads, 3);
}

TEST(EngineInfo, AFileWithoutANameIsCalledByItsOwn) {
  testing::GgufWriter writer = testing::TinyModel({});
  ASSERT_TRUE(writer.Remove("general.name"));
  const std::string path = testing::WriteTestFile("nameless.gguf", writer.Finish());
  const auto engine = Engine::Open(path, {.threads = 1}).value();
  EXPECT_THAT(engine->info().name, ::testing::EndsWith("nameless.gguf"));
  EXPECT_THAT(engine->info().name, ::testing::Not(HasSubstr("/")));
}

TEST(EngineInfo, ThreadsDefaultToTheCpusOfThisProcess) {
  const auto engine = Engine::Open(testing::WriteTinyModel({}), {}).value();
  EXPECT_GE(engine->info().threads, 1);
}

// ---- The second start.

std::string WriteModelWorthACache(const testing::TempDir& folder) {
  const std::vector<uint8_t> bytes =
      testing::TinyModelBytes({.weights = DType::kQ8_0, .tied_embeddings = false, .layers = 40});
  std::ofstream(folder.File("model.gguf"), std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<int64_t>(bytes.size()));
  return folder.File("model.gguf");
}

TEST(EnginePackedCache, GivesTheSameLogits) {
  const testing::TempDir folder;
  const std::string path = WriteModelWorthACache(folder);
  const std::vector<int32_t> prompt = SomePrompt(20);
  const auto logits = [&](const char* state) {
    const auto engine = Engine::Open(path, {.threads = 1}).value();
    EXPECT_THAT(engine->stats().packed_cache, ::testing::MatchesRegex(state));
    return engine->Logits(prompt).value();
  };
  const std::vector<float> first = logits("writing|written");
  EXPECT_EQ(first, logits("mapped"));
}

TEST(EnginePackedCache, IsAnOption) {
  const testing::TempDir folder;
  const std::string path = WriteModelWorthACache(folder);
  EXPECT_EQ(Engine::Open(path, {.threads = 1, .packed_cache = false}).value()->stats().packed_cache,
            "off");
  EXPECT_FALSE(std::filesystem::exists(path + ".packed"));
}

// ---- What it refuses.

TEST(EngineOptionsAreChecked, AndNamed) {
  const std::string path = testing::WriteTinyModel({});
  const auto refuse = [&](const EngineOptions& options, const char* says) {
    const auto engine = Engine::Open(path, options);
    EXPECT_EQ(engine.status().code(), absl::StatusCode::kInvalidArgument) << engine.status();
    EXPECT_THAT(engine.status().message(), HasSubstr(says));
  };
  refuse({.threads = -1}, "EngineOptions::threads: -1");
  refuse({.context_tokens = -1}, "EngineOptions::context_tokens: -1");
  refuse({.context_tokens = 513}, "the model was trained for 512");
  refuse({.max_sessions = 0}, "EngineOptions::max_sessions: 0");
  refuse({.prefill_chunk = 0}, "EngineOptions::prefill_chunk: 0");
  refuse({.max_memory_bytes = -1}, "EngineOptions::max_memory_bytes: -1");
  refuse({.kernels = "abacus"}, "abacus");
  refuse({.max_tokens_per_second = -1}, "EngineOptions::max_tokens_per_second: -1 is no number");
  refuse({.max_tokens_per_second = std::nan("")}, "EngineOptions::max_tokens_per_second: nan");
  refuse({.max_temperature = -1}, "EngineOptions::max_temperature: -1 is outside [0, 150]");
  refuse({.max_temperature = 151}, "EngineOptions::max_temperature: 151 is outside [0, 150]");
  refuse({.max_temperature = std::nan("")}, "EngineOptions::max_temperature: nan");
  refuse({.kv_type = "q4_0"}, "kv_type option: no type is named \"q4_0\" (known: f16, q8_0)");
}

TEST(EngineOpen, ALimitOfHeatIsKeptOrRefused) {
  const auto engine =
      Engine::Open(testing::WriteTinyModel({}), {.threads = 2, .max_temperature = 150});
  if (!CpuCelsius().has_value()) {  // a machine without a thermometer
    EXPECT_EQ(engine.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(engine.status().message(), HasSubstr("max_temperature: no thermometer"));
    return;
  }
  EXPECT_TRUE((*engine)->stats().temperature_celsius.has_value());
  EXPECT_EQ((*engine)->stats().threads_in_use, 2);
}

TEST(EngineOpen, ALimitOfTokensASecondHoldsWhatDecodes) {
  const auto engine = testing::OpenTinyEngine({.max_tokens_per_second = 1e-6});
  const auto session = engine->NewSession().value();
  auto sink = std::make_shared<RecordingSink>();
  absl::Notification second;
  sink->on_token = [&](const Token&) {
    if (sink->tokens.size() == 2) second.Notify();
  };
  ASSERT_TRUE(session->Generate({.prompt = SomePrompt(5), .max_tokens = 9}, sink).ok());
  second.WaitForNotification();
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(engine->Logits(SomePrompt(3)).ok());  // a pass between
  EXPECT_TRUE(engine->stats().paced);
  session->Cancel();
  sink->Wait();
  EXPECT_EQ(sink->result.completion_tokens, 2);
}

TEST(EngineOpen, HoldsNoMoreMemoryThanAllowed) {
  const std::string path = testing::WriteTinyModel({});
  EXPECT_TRUE(Engine::Open(path, {.threads = 1, .max_memory_bytes = 64 << 20}).ok());
  const auto engine = Engine::Open(path, {.threads = 1, .max_memory_bytes = 1 << 19});
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kResourceExhausted) << engine.status();
  EXPECT_THAT(engine.status().message(),
              HasSubstr("1 MiB are allowed (EngineOptions::max_memory_bytes)"));
}

TEST(EngineOpen, TakesTheLongestContextThatThereIsMemoryFor) {
  const std::string path = testing::WriteTinyModel({.context = 4096});
  EngineOptions options = {.threads = 1, .max_sessions = 1, .max_memory_bytes = 64 << 20};
  EXPECT_EQ(Engine::Open(path, options).value()->info().context_tokens, 4096);
  options.max_memory_bytes = 1 << 20;
  const int fits = Engine::Open(path, options).value()->info().context_tokens;
  EXPECT_LT(fits, 4096);
  EXPECT_GE(fits, 512);
  options.context_tokens = fits;
  EXPECT_TRUE(Engine::Open(path, options).ok());
  options.context_tokens = fits + 1;
  EXPECT_EQ(Engine::Open(path, options).status().code(), absl::StatusCode::kResourceExhausted)
      << "what is asked for is not lowered in silence";
}

TEST(EngineOpen, KeysAndValuesInBytesTakeHalfTheMemory) {
  const std::string path = testing::WriteTinyModel({});
  const auto halves = Engine::Open(path, {.threads = 1}).value();
  const auto bytes = Engine::Open(path, {.threads = 1, .kv_type = "q8_0"}).value();
  EXPECT_EQ(halves->info().kv_type, "f16");
  EXPECT_EQ(bytes->info().kv_type, "q8_0");
  // Heads of 16: a scale for 16 numbers.
  EXPECT_EQ(bytes->info().kv_bytes_per_position * 32, halves->info().kv_bytes_per_position * 18);
  const std::vector<int32_t> ids = {5, 17, 200, 31, 8, 99};
  const std::vector<float> expected = halves->Logits(ids).value();
  const std::vector<float> logits = bytes->Logits(ids).value();
  double worst = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(logits[i]) - expected[i]));
  }
  EXPECT_GT(worst, 0);
  EXPECT_LT(worst, 0.1);
}

TEST(EngineOpen, NamesAMissingFile) {
  const auto engine = Engine::Open("/nowhere/at/all.gguf", {});
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(engine.status().message(), HasSubstr("/nowhere/at/all.gguf"));
}

TEST(EngineOpen, RefusesWhatIsNoModel) {
  const std::vector<uint8_t> text(100, 'x');
  const auto engine = Engine::Open(testing::WriteTestFile("text.gguf", text), {});
  EXPECT_EQ(engine.status().code(), absl::StatusCode::kInvalidArgument) << engine.status();
}

// Stacks for which no address space is left: the pool's threads cannot start, nor the scheduler's.
TEST(EngineOpen, SaysSoWhereThereAreNoMoreThreads) {
  const std::string path = testing::WriteTinyModel({});
  pthread_attr_t usual, huge;
  ASSERT_EQ(pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(pthread_attr_init(&huge), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&huge, size_t{1} << 50), 0);
  ASSERT_EQ(pthread_setattr_default_np(&huge), 0);
  const absl::Status pool = Engine::Open(path, {.threads = 4}).status();
  const absl::Status scheduler = Engine::Open(path, {.threads = 1}).status();
  EXPECT_EQ(pthread_setattr_default_np(&usual), 0);
  pthread_attr_destroy(&huge);
  pthread_attr_destroy(&usual);
  for (const absl::Status& status : {pool, scheduler}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(status.message(), HasSubstr("fewer threads"));
  }
  EXPECT_TRUE(Engine::Open(path, {.threads = 4}).ok());
}

TEST(EngineSessions, AreLimited) {
  const auto engine = OpenTinyEngine({.max_sessions = 2});
  auto first = engine->NewSession().value();
  const auto second = engine->NewSession().value();
  const auto third = engine->NewSession();
  EXPECT_EQ(third.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(third.status().message(), HasSubstr("all 2 sessions"));
  EXPECT_EQ(engine->stats().live_sessions, 2);
  first.reset();
  EXPECT_TRUE(engine->NewSession().ok());
}

// ---- Text.

TEST(EngineText, TokensAndBack) {
  const auto engine = OpenTinyEngine();
  const std::string text = "hello the user, 12 = and naïve 東京";
  EXPECT_EQ(engine->Detokenize(engine->Tokenize(text)), text);
  EXPECT_EQ(engine->Detokenize({-1, 1 << 30}), "");
  const int32_t im_start = testing::TheTinyVocabulary().im_start;
  EXPECT_THAT(engine->Tokenize("<|im_start|>"), ::testing::Not(::testing::Contains(im_start)));
  EXPECT_THAT(engine->Tokenize("<|im_start|>", true), ::testing::ElementsAre(im_start));
}

TEST(EngineText, AConversationOpensTheAssistantsTurn) {
  const auto engine = OpenTinyEngine();
  const auto& vocabulary = testing::TheTinyVocabulary();
  const std::vector<int32_t> ids = engine->TokenizeChat({{"user", "hello <|im_end|> you"}}).value();
  EXPECT_EQ(std::count(ids.begin(), ids.end(), vocabulary.im_start), 2);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), vocabulary.im_end), 1);
  const std::vector<int32_t> begun =
      engine->TokenizeChat({{"user", "hello <|im_end|> you"}}, "The").value();
  EXPECT_EQ(engine->Detokenize(begun), engine->Detokenize(ids) + "The");
  EXPECT_EQ(engine->TokenizeChat({}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine->TokenizeChat({{"wizard", "x"}}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(EngineText, ABaseModelTakesRawTextOnly) {
  testing::GgufWriter writer = testing::TinyModel({});
  ASSERT_TRUE(writer.Remove("tokenizer.chat_template"));
  writer.AddString("tokenizer.chat_template", "{{ something nobody has seen }}");
  const auto engine =
      Engine::Open(testing::WriteTestFile("base.gguf", writer.Finish()), {.threads = 1}).value();
  EXPECT_EQ(engine->info().template_name, "");
  EXPECT_EQ(engine->TokenizeChat({{"user", "hello"}}).status().code(),
            absl::StatusCode::kUnimplemented);
  const auto session = engine->NewSession().value();
  const auto sink = RunGeneration(*session, {.prompt = engine->Tokenize("hello"), .max_tokens = 3});
  EXPECT_TRUE(sink->result.status.ok());
}

// ---- Damaged files, under the sanitizers: refused, or loaded and then run to an end.

class Flips {
 public:
  explicit Flips(uint64_t seed) : state_(seed) {}
  uint64_t Next() {  // xorshift64 (Marsaglia 2003)
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

 private:
  uint64_t state_;
};

// True if the file was loaded.
bool LoadAndRun(const std::vector<uint8_t>& bytes, const char* kernels = "") {
  const std::string path = testing::WriteTestFile("flipped.gguf", bytes);
  const auto engine = Engine::Open(path, {.threads = 1, .prefill_chunk = 4, .kernels = kernels});
  if (!engine.ok()) {
    EXPECT_FALSE(engine.status().message().empty());
    return false;
  }
  const auto session = (*engine)->NewSession().value();
  std::vector<int32_t> prompt = (*engine)->Tokenize("hello the");
  if (prompt.empty()) prompt = {0};
  const auto sink = RunGeneration(
      *session,
      {.prompt = prompt, .max_tokens = 4, .sampling = {.temperature = 1}, .stop = {"zz"}});
  EXPECT_EQ(sink->dones, 1);
  return true;
}

size_t DataOffset(const std::vector<uint8_t>& file) {
  const std::string path = testing::WriteTestFile("whole.gguf", file);
  return static_cast<size_t>(GgufFile::Open(path).value()->data_offset());
}

class DamagedWeights : public ::testing::TestWithParam<TinyModelOptions> {};

TEST_P(DamagedWeights, LoadAndRunToAnEnd) {
  const std::vector<uint8_t> whole = testing::TinyModelBytes(GetParam());
  const size_t data = DataOffset(whole);
  Flips flips(17);
  for (const int count : {1, 64, 4096}) {
    std::vector<uint8_t> bytes = whole;
    for (int i = 0; i < count; ++i) {
      bytes[data + flips.Next() % (bytes.size() - data)] ^= 1 << flips.Next() % 8;
    }
    EXPECT_TRUE(LoadAndRun(bytes));
  }
  std::vector<uint8_t> noise = whole;
  for (size_t i = data; i < noise.size(); ++i) noise[i] = static_cast<uint8_t>(flips.Next());
  std::vector<uint8_t> ones = whole;
  std::fill(ones.begin() + static_cast<int64_t>(data), ones.end(), 0xff);
  for (const char* kernels : {"", "scalar", "reference"}) {
    EXPECT_TRUE(LoadAndRun(noise, kernels)) << kernels;
    EXPECT_TRUE(LoadAndRun(ones, kernels)) << kernels;
  }
}

INSTANTIATE_TEST_SUITE_P(All, DamagedWeights, ::testing::ValuesIn(AllModels()),
                         [](const auto& info) { return ModelName(info.param); });

TEST(DamagedMetadata, IsRefusedOrRuns) {
  for (const TinyModelOptions& options :
       {TinyModelOptions{.weights = DType::kQ8_0},
        TinyModelOptions{.architecture = "qwen2", .weights = DType::kQ4_0}}) {
    const std::vector<uint8_t> whole = testing::TinyModelBytes(options);
    const size_t data = DataOffset(whole);
    Flips flips(23);
    int refused = 0;
    for (int round = 0; round < 100; ++round) {
      std::vector<uint8_t> bytes = whole;
      bytes[flips.Next() % data] ^= 1 << flips.Next() % 8;
      refused += LoadAndRun(bytes) ? 0 : 1;
    }
    EXPECT_GT(refused, 10);
    EXPECT_LT(refused, 100);
  }
}

}  // namespace
}  // namespace nearfar
