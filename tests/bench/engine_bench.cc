// Measures one model where `nearfar bench` cannot be built: in a build of the engine alone, such as
// the one for 64-bit Arm under emulation, whose instructions are counted from outside.
//
//   engine_bench --model FILE [--threads N] [--prefill 512] [--decode 128] [--depth 0] [--runs 1]
//                [--kernels NAME] [--kv-type NAME]
//
// Prints one line of JSON: {"model", "kernels", "threads", "prefill_tokens_per_s",
// "decode_tokens_per_s", "load_s", "peak_rss_mib"}; medians over the runs.

#include <sys/resource.h>
#include <sysexits.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#include "local_engine/engine.h"
#include "local_engine/speed.h"

namespace nearfar {
namespace {

constexpr char kUsage[] =
    "usage: engine_bench --model FILE [--threads N] [--prefill N] [--decode N] [--depth N] "
    "[--runs N] [--kernels NAME] [--kv-type NAME]\n";

struct Settings {
  std::string model;
  EngineOptions engine;
  SpeedOptions speed;
};

bool ParseSettings(int argc, char** argv, Settings* settings) {
  const std::map<std::string, int*> numbers = {{"--threads", &settings->engine.threads},
                                               {"--prefill", &settings->speed.prefill},
                                               {"--decode", &settings->speed.decode},
                                               {"--depth", &settings->speed.depths.front()},
                                               {"--runs", &settings->speed.runs}};
  const std::map<std::string, std::string*> texts = {{"--model", &settings->model},
                                                     {"--kernels", &settings->engine.kernels},
                                                     {"--kv-type", &settings->engine.kv_type}};
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
  return !settings->model.empty();
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
  const std::chrono::duration<double> load = std::chrono::steady_clock::now() - start;
  const auto speed = MeasureSpeed(**engine, settings.speed);
  if (!speed.ok()) return Fail(speed.status());
  std::printf(
      "{\"model\": \"%s\", \"kernels\": \"%s\", \"threads\": %d, \"prefill_tokens_per_s\": %.2f, "
      "\"decode_tokens_per_s\": %.2f, \"load_s\": %.3f, \"peak_rss_mib\": %.1f}\n",
      (*engine)->info().name.c_str(), (*engine)->info().kernels.c_str(), (*engine)->info().threads,
      speed->prefill_tokens_per_second, speed->decode.front().tokens_per_second, load.count(),
      PeakRssMib());
  return 0;
}

}  // namespace
}  // namespace nearfar

int main(int argc, char** argv) { return nearfar::Main(argc, argv); }
