// An engine that computes nothing: its sessions end when a test says so and with what it says.

#ifndef NEARFAR_TESTS_TESTING_FAKE_ENGINE_H_
#define NEARFAR_TESTS_TESTING_FAKE_ENGINE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "local_engine/engine.h"

namespace nearfar::testing {

// Thread-safe. A token is a byte.
class FakeEngine : public Engine, public std::enable_shared_from_this<FakeEngine> {
 public:
  struct Options {
    int max_sessions = 1;
    std::function<void()> before_free = [] {};  // by a session's destructor; its place is kept
  };

  explicit FakeEngine(Options options) : options_(std::move(options)) {
    info_.path = "fake.gguf";
    info_.context_tokens = 512;
    info_.vocabulary = 256;
    info_.longest_token_bytes = 1;
  }

  const ModelInfo& info() const override { return info_; }
  EngineStats stats() const override { return {}; }
  std::vector<int32_t> Tokenize(std::string_view text, bool) const override {
    return {text.begin(), text.end()};
  }
  std::string Detokenize(absl::Span<const int32_t> ids) const override {
    return {ids.begin(), ids.end()};
  }
  absl::StatusOr<std::vector<int32_t>> TokenizeChat(absl::Span<const ChatTurn> turns,
                                                    std::string_view prefix) const override {
    std::string text;
    for (const ChatTurn& turn : turns) text += turn.content;
    return Tokenize(text.append(prefix), false);
  }
  absl::StatusOr<std::unique_ptr<Session>> NewSession() override {
    absl::MutexLock hold(&mu_);
    if (live_ < options_.max_sessions) {
      ++live_;
      return std::make_unique<FakeSession>(shared_from_this());
    }
    ++refused_;
    return absl::ResourceExhaustedError("all sessions are in use");
  }
  absl::StatusOr<std::vector<float>> Logits(absl::Span<const int32_t>) override {
    return absl::UnimplementedError("a fake engine has none");
  }

  // Ends the generations that run.
  void End(StopReason reason, absl::Status status = absl::OkStatus()) {
    GenerateResult result;
    result.reason = reason;
    result.status = std::move(status);
    std::vector<std::shared_ptr<GenerateSink>> sinks;
    {
      absl::MutexLock hold(&mu_);
      sinks.swap(sinks_);
    }
    for (const auto& sink : sinks) sink->OnDone(result);
  }
  // Waits until so many generations run, or so many sessions have been refused since the start.
  void AwaitRunning(int running) {
    absl::MutexLock hold(&mu_);
    const auto enough = [&] { return static_cast<int>(sinks_.size()) >= running; };
    mu_.Await(absl::Condition(&enough));
  }
  void AwaitRefused(int refused) {
    absl::MutexLock hold(&mu_);
    const auto enough = [&] { return refused_ >= refused; };
    mu_.Await(absl::Condition(&enough));
  }

 private:
  class FakeSession : public Session {
   public:
    explicit FakeSession(std::shared_ptr<FakeEngine> engine) : engine_(std::move(engine)) {}
    ~FakeSession() override {
      engine_->options_.before_free();
      absl::MutexLock hold(&engine_->mu_);
      --engine_->live_;
    }
    absl::Status Generate(GenerateRequest, std::shared_ptr<GenerateSink> sink) override {
      absl::MutexLock hold(&engine_->mu_);
      engine_->sinks_.push_back(std::move(sink));
      return absl::OkStatus();
    }
    void Cancel() override {}
    int cached_tokens() const override { return 0; }

   private:
    const std::shared_ptr<FakeEngine> engine_;
  };

  const Options options_;
  ModelInfo info_;
  absl::Mutex mu_;
  int live_ = 0;
  int refused_ = 0;
  std::vector<std::shared_ptr<GenerateSink>> sinks_;
};

}  // namespace nearfar::testing

#endif  // NEARFAR_TESTS_TESTING_FAKE_ENGINE_H_
