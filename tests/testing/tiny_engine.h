// An engine over a tiny random model, and short ways to run one generation in it.

#ifndef NEARFAR_TESTS_TESTING_TINY_ENGINE_H_
#define NEARFAR_TESTS_TESTING_TINY_ENGINE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "local_engine/engine.h"
#include "tests/testing/recording_sink.h"
#include "tests/testing/tiny_model.h"

namespace nearfar::testing {

// A model whose greedy text wanders: the output matrix is its own.
inline TinyModelOptions WanderingModel(uint64_t seed = 1) {
  return {.weights = DType::kQ8_0, .tied_embeddings = false, .seed = seed};
}

inline std::shared_ptr<Engine> OpenTinyEngine(EngineOptions options = {},
                                              const TinyModelOptions& model = WanderingModel()) {
  if (options.threads == 0) options.threads = 2;
  absl::StatusOr<std::shared_ptr<Engine>> engine =
      Engine::Open(WriteTinyModel(model, "engine.gguf"), options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *std::move(engine) : nullptr;
}

// `count` ids of the tiny vocabulary, none of them special; `step` makes prompts that differ.
inline std::vector<int32_t> SomePrompt(int count, int step = 37) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back((11 + i * step) % 270);
  return ids;
}

// Runs one generation to its end.
inline std::shared_ptr<RecordingSink> RunGeneration(Session& session, GenerateRequest request) {
  auto sink = std::make_shared<RecordingSink>();
  const absl::Status status = session.Generate(std::move(request), sink);
  EXPECT_TRUE(status.ok()) << status;
  if (status.ok()) sink->Wait();
  return sink;
}

// The ids that a fresh session of the engine generates.
inline std::vector<int32_t> GenerateAlone(Engine& engine, GenerateRequest request) {
  absl::StatusOr<std::unique_ptr<Session>> session = engine.NewSession();
  EXPECT_TRUE(session.ok()) << session.status();
  return RunGeneration(**session, std::move(request))->ids();
}

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_TINY_ENGINE_H_
