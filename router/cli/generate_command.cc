// nearfar generate: the engine alone, without policy, router or network.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "local_engine/engine.h"
#include "router/cli/ask_flags.h"
#include "router/cli/commands.h"
#include "router/cli/engine_door.h"
#include "router/cli/exit_codes.h"
#include "router/cli/interrupt.h"
#include "router/internal/json_writer.h"

namespace nearfar::cli {
namespace {

// Prints the text as it comes and keeps the tokens.
class PrintingSink : public GenerateSink {
 public:
  PrintingSink(bool show, Session* session, Terminal* terminal)
      : show_(show), session_(session), terminal_(terminal) {}

  void OnToken(const Token& token) override {
    tokens_.push_back(token);
    if (show_ && !token.text.empty()) terminal_->Answer(token.text);
    if (terminal_->output_lost()) session_->Cancel();
  }
  void OnDone(const GenerateResult& result) override {
    absl::MutexLock lock(&mutex_);
    result_ = result;
    done_ = true;
  }

  GenerateResult Wait() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&done_));
    return result_;
  }
  // After Wait.
  const std::vector<Token>& tokens() const { return tokens_; }

 private:
  const bool show_;
  Session* const session_;
  Terminal* const terminal_;
  std::vector<Token> tokens_;  // the scheduler thread's until done
  absl::Mutex mutex_;
  GenerateResult result_ ABSL_GUARDED_BY(mutex_);
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

double PerSecond(int tokens, double seconds) { return seconds > 0 ? tokens / seconds : 0; }

std::string FooterOf(const GenerateResult& result) {
  return absl::StrFormat(
      "%s · %d prompt tokens (%d reused) at %.0f/s · %d tokens at %.1f/s",
      StopReasonName(result.reason), result.prompt_tokens, result.reused_tokens,
      PerSecond(result.prompt_tokens - result.reused_tokens, result.prefill_seconds),
      result.completion_tokens, PerSecond(result.completion_tokens, result.decode_seconds));
}

std::string JsonOf(const ModelInfo& info, const GenerateResult& result,
                   const std::vector<Token>& tokens) {
  std::string text;
  for (const Token& token : tokens) absl::StrAppend(&text, token.text);
  internal::JsonWriter json;
  json.BeginObject();
  json.Field("model", ModelNameOf(info));
  json.Field("kernels", info.kernels);
  json.Field("threads", info.threads);
  json.Field("text", text);
  json.Field("stop_reason", StopReasonName(result.reason));
  json.Field("prompt_tokens", result.prompt_tokens);
  json.Field("reused_tokens", result.reused_tokens);
  json.Field("completion_tokens", result.completion_tokens);
  json.Field("prefill_seconds", result.prefill_seconds);
  json.Field("decode_seconds", result.decode_seconds);
  json.Key("tokens").BeginArray();
  for (const Token& token : tokens) {
    json.BeginObject();
    json.Field("id", token.id);
    json.Field("text", token.text);
    json.Field("logprob", static_cast<double>(token.logprob));
    json.Field("entropy", static_cast<double>(token.entropy));
    json.Field("margin", static_cast<double>(token.margin));
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
  return json.Take();
}

class GenerateCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    app->add_option("text", text_, "The prompt; - reads it from standard input")->required();
    app->add_option("--model", model_, "A catalogue name, a file name or a path");
    CLI::Option* raw = app->add_flag("--raw", raw_, "No chat template: the text goes on as it is");
    app->add_option("--system", system_, "System message")->excludes(raw);
    app->add_option("--max-tokens", max_tokens_, "Longest answer")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    app->add_option("--stop", stop_, "The answer ends before this text; may be repeated")
        ->allow_extra_args(false);
    sampling_.Declare(app);
    engine_.Declare(app);
    app->add_flag("--quiet", quiet_, "Print the text alone");
    app->add_flag("--json", json_, "Print one JSON object with every token's statistics");
  }

  int Run(Terminal* terminal) override {
    const absl::StatusOr<std::string> text = TextOrStdin(text_);
    if (!text.ok()) return FailText(text.status(), terminal);
    Interrupt interrupt;
    const auto engine = OpenEngine(model_, engine_);
    if (!engine.ok()) return terminal->Fail(engine.status());
    auto request = MakeRequest(**engine, *text);
    if (!request.ok()) return terminal->Fail(request.status());
    const auto session = (*engine)->NewSession();
    if (!session.ok()) return terminal->Fail(session.status());
    auto sink = std::make_shared<PrintingSink>(!json_, session->get(), terminal);
    const absl::Status started = (*session)->Generate(*std::move(request), sink);
    if (!started.ok()) return terminal->Fail(started);
    // Not before: a Ctrl-C while the model was loading has waited for something to cancel.
    const InterruptAction stop(&interrupt, [&] { (*session)->Cancel(); });
    const GenerateResult result = sink->Wait();
    return Report((*engine)->info(), result, sink->tokens(), terminal);
  }

 private:
  absl::StatusOr<GenerateRequest> MakeRequest(const Engine& engine, const std::string& text) const {
    GenerateRequest request;
    if (raw_) {
      request.prompt = engine.Tokenize(text);
    } else {
      std::vector<ChatTurn> turns;
      if (!system_.empty()) turns.push_back({"system", system_});
      turns.push_back({"user", text});
      auto ids = engine.TokenizeChat(turns);
      if (!ids.ok()) return ids.status();
      request.prompt = *std::move(ids);
    }
    request.max_tokens = max_tokens_;
    request.stop = stop_;
    const SamplingParams& params = sampling_.params;
    request.sampling.temperature = params.temperature;
    request.sampling.top_k = params.top_k;
    request.sampling.top_p = params.top_p;
    request.sampling.min_p = params.min_p;
    request.sampling.repetition_penalty = params.repetition_penalty;
    request.sampling.seed = params.seed;
    return request;
  }

  int Report(const ModelInfo& info, const GenerateResult& result, const std::vector<Token>& tokens,
             Terminal* terminal) const {
    if (json_) {
      terminal->Line(JsonOf(info, result, tokens));
    } else {
      terminal->Line("");
    }
    if (result.reason == StopReason::kError) return terminal->Fail(result.status);
    if (!json_ && !quiet_) {
      terminal->Note(
          terminal->Painted(Paint::kDim, absl::StrCat(ModelNameOf(info), " · ", FooterOf(result))));
    }
    return result.reason == StopReason::kCancelled ? kExitInterrupted : kExitOk;
  }

  std::string text_, model_, system_;
  std::vector<std::string> stop_;
  int max_tokens_ = 256;
  bool raw_ = false, quiet_ = false, json_ = false;
  SamplingFlags sampling_;
  EngineFlags engine_;
};

}  // namespace

std::unique_ptr<Command> MakeGenerateCommand() { return std::make_unique<GenerateCommand>(); }

}  // namespace nearfar::cli
