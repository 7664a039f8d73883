// Measures one model through the engine's public face: load, prefill and decode.
//
//   engine_bench --model FILE [--threads N] [--prefill 512] [--decode 128] [--runs 1] [--kernels
//   NAME]
//
// Prints one line of JSON: {"model", "kernels", "threads", "prefill_tokens_per_s",
// "decode_tokens_per_s", "load_s", "first_token_s", "packed_cache", "peak_rss_mib"}; medians over
// the runs, but the first token is that of a one-word prompt, counted from before the load.
// scripts/bench_peer.sh sets it beside the peer.

#include <sys/resource.h>
#include <sysexits.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "local_engine/engine.h"

namespace nearfar {
namespace {

constexpr char kUsage[] =
    "usage: engine_bench --model FILE [--threads N] [--prefill N] [--decode N] [--runs N] "
    "[--kernels NAME]\n";

struct Settings {
  std::string model;
  EngineOptions engine;
  int prefill = 512;
  int decode = 128;
  int runs = 1;
};

bool ParseSettings(int argc, char** argv, Settings* settings) {
  const std::map<std::string, int*> numbers = {{"--threads", &settings->engine.threads},
                                               {"--prefill", &settings->prefill},
                                               {"--decode", &settings->decode},
                                               {"--runs", &settings->runs}};
  const std::map<std::string, std::string*> texts = {{"--model", &settings->model},
                                                     {"--kernels", &settings->engine.kernels}};
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return false;
    if (const auto text = texts.find(argv[i]); text != texts.end()) {
      *text->second = argv[i + 1];
    } else if (const auto number = numbers.find(argv[i]); number != numbers.end()) {
      *number->second = std::atoi(argv[i + 1]);
    } else {
      return false;
    }
  }
  return !settings->model.empty() && settings->prefill > 0 && settings->decode > 0 &&
         settings->runs > 0;
}

// Waits for one generation.
class WaitingSink : public GenerateSink {
 public:
  void OnToken(const Token& token) override {}
  void OnDone(const GenerateResult& result) override {
    result_ = result;
    done_.Notify();
  }
  const GenerateResult& Wait() {
    done_.WaitForNotification();
    return result_;
  }

 private:
  GenerateResult result_;
  absl::Notification done_;
};

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// `count` ids of ordinary text.
std::vector<int32_t> TextIds(const Engine& engine, int count) {
  const std::string sentence =
      "The keeper of the lighthouse wrote down the wind, the tide and the names of passing ships. ";
  std::vector<int32_t> ids;
  while (static_cast<int>(ids.size()) < count) {
    const std::vector<int32_t> more = engine.Tokenize(sentence);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  ids.resize(static_cast<size_t>(count));
  return ids;
}

// One generation in a fresh session, so that nothing is reused.
absl::StatusOr<GenerateResult> Generate(Engine& engine, std::vector<int32_t> prompt, int tokens) {
  auto session = engine.NewSession();
  if (!session.ok()) return session.status();
  const auto sink = std::make_shared<WaitingSink>();
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = tokens;
  const absl::Status status = (*session)->Generate(std::move(request), sink);
  if (!status.ok()) return status;
  const GenerateResult result = sink->Wait();
  if (result.reason == StopReason::kError) return result.status;
  return result;
}

absl::StatusOr<double> PrefillSpeed(Engine& engine, int tokens) {
  const auto result = Generate(engine, TextIds(engine, tokens), 1);
  if (!result.ok()) return result.status();
  return result->prompt_tokens / result->prefill_seconds;
}

// The model may end its turn early: then it is asked again until enough tokens are timed.
absl::StatusOr<double> DecodeSpeed(Engine& engine, int tokens) {
  int generated = 0;
  double seconds = 0;
  for (int attempt = 0; generated < tokens && attempt < 20; ++attempt) {
    const auto result = Generate(engine, TextIds(engine, 8 + attempt), tokens - generated + 1);
    if (!result.ok()) return result.status();
    // The first token belongs to the prefill.
    generated += std::max(0, result->completion_tokens - 1);
    seconds += result->decode_seconds;
  }
  if (generated == 0) return absl::InternalError("the model says nothing");
  return generated / seconds;
}

// A first start writes its cache in the background: that is not what is measured.
void AwaitCacheWritten(const Engine& engine) {
  while (engine.stats().packed_cache == "writing") {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

double PeakRssMib() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

int Fail(const absl::Status& status) {
  std::cerr << "engine_bench: " << status << "\n";
  return EX_DATAERR;
}

int Main(int argc, char** argv) {
  Settings settings;
  if (!ParseSettings(argc, argv, &settings)) {
    std::fputs(kUsage, stderr);
    return EX_USAGE;
  }
  const auto start = std::chrono::steady_clock::now();
  const auto engine = Engine::Open(settings.model, settings.engine);
  if (!engine.ok()) return Fail(engine.status());
  const double load_seconds = SecondsSince(start);
  if (const auto word = Generate(**engine, TextIds(**engine, 1), 1); !word.ok()) {
    return Fail(word.status());
  }
  const double first_token_seconds = SecondsSince(start);
  const std::string packed_cache = (*engine)->stats().packed_cache;
  AwaitCacheWritten(**engine);
  std::vector<double> prefill;
  std::vector<double> decode;
  // One warm-up: pages in, threads started.
  if (const auto warm = PrefillSpeed(**engine, 32); !warm.ok()) return Fail(warm.status());
  for (int run = 0; run < settings.runs; ++run) {
    const auto one_prefill = PrefillSpeed(**engine, settings.prefill);
    if (!one_prefill.ok()) return Fail(one_prefill.status());
    const auto one_decode = DecodeSpeed(**engine, settings.decode);
    if (!one_decode.ok()) return Fail(one_decode.status());
    prefill.push_back(*one_prefill);
    decode.push_back(*one_decode);
  }
  std::printf(
      "{\"side\": \"nearfar\", \"model\": \"%s\", \"kernels\": \"%s\", \"threads\": %d, "
      "\"prefill_tokens_per_s\": %.2f, \"decode_tokens_per_s\": %.2f, \"load_s\": %.3f, "
      "\"first_token_s\": %.3f, \"packed_cache\": \"%s\", \"peak_rss_mib\": %.1f}\n",
      (*engine)->info().name.c_str(), (*engine)->info().kernels.c_str(), (*engine)->info().threads,
      Median(prefill), Median(decode), load_seconds, first_token_seconds, packed_cache.c_str(),
      PeakRssMib());
  return 0;
}

}  // namespace
}  // namespace nearfar

int main(int argc, char** argv) { return nearfar::Main(argc, argv); }
