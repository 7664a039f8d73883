// nearfar bench: the engine's speed on this machine, beside what the machine can do at most.

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "local_engine/limits.h"
#include "local_engine/speed.h"
#include "router/cli/commands.h"
#include "router/cli/engine_door.h"
#include "router/cli/exit_codes.h"
#include "router/cli/machine.h"
#include "router/cli/model_files.h"
#include "router/cli/table.h"
#include "router/internal/json_writer.h"

namespace nearfar::cli {
namespace {

constexpr int kMostTokens = 1 << 20;
constexpr int kMostRuns = 1000;
constexpr int kMostBatch = 64;
constexpr double kGiga = 1e9;

struct Figures {
  ModelInfo info;
  double load_seconds = 0;
  double peak_rss_mib = 0;
  EngineSpeed speed;
  EngineStats stats;  // afterwards
  struct Batch {
    int sequences;
    double tokens_per_second;
  };
  std::vector<Batch> batches;
  MachineLimits limits;

  double PercentOfPeak(int prefill) const {
    return 100 * OperationsPerToken(info, prefill) * speed.prefill_tokens_per_second /
           limits.int8_operations_per_second;
  }
  double PercentOfBandwidth(const DecodeSpeed& decode) const {
    return 100 * BytesPerToken(info, decode.positions) * decode.tokens_per_second /
           limits.read_bytes_per_second;
  }
};

// What is done for the file in the background would be measured too.
void WaitForPackedCache(const Engine& engine) {
  while (engine.stats().packed_cache_busy) absl::SleepFor(absl::Milliseconds(10));
}

double PeakRssMib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

// How a longer context is had.
std::string ContextAdvice(const ModelInfo& info) {
  if (info.context_tokens < info.trained_context_tokens) {
    return absl::StrCat("--context N lengthens it, up to ", info.trained_context_tokens);
  }
  return absl::StrCat("the model was trained for ", info.trained_context_tokens);
}

class BenchCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    app->add_option("--model", model_, "A catalogue name, a file name or a path");
    app->add_option("--prefill", options_.prefill, "Tokens of the prompt that is timed")
        ->check(CLI::Range(1, kMostTokens))
        ->capture_default_str();
    app->add_option("--decode", options_.decode, "Tokens generated at each depth")
        ->check(CLI::Range(1, kMostTokens))
        ->capture_default_str();
    app->add_option("--depth", options_.depths, "Tokens in the context before them, as 0,2048")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(CLI::Range(0, kMostTokens))
        ->capture_default_str();
    app->add_option("--batch", batches_, "Sequences decoded at once, as 4,8")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(CLI::Range(1, kMostBatch));
    app->add_option("--runs", options_.runs, "Runs, of which the medians are told")
        ->check(CLI::Range(1, kMostRuns))
        ->capture_default_str();
    engine_.Declare(app);
    app->add_flag("--json", json_, "Print one JSON object");
  }

  int Run(Terminal* terminal) override {
    Figures figures;
    absl::Status status = MeasureEngine(&figures);
    if (status.ok()) status = MeasureBatches(&figures);
    if (absl::IsOutOfRange(status)) return ContextTooShort(status, figures.info, terminal);
    if (status.ok()) status = MeasureMachine(&figures);
    if (!status.ok()) return terminal->Fail(status);
    for (const int depth : figures.speed.left_out) NoteLeftOut(depth, figures.info, terminal);
    json_ ? PrintJson(figures, terminal) : PrintText(figures, terminal);
    return kExitOk;
  }

 private:
  // The engine is gone again afterwards, so that the machine is measured alone.
  absl::Status MeasureEngine(Figures* figures) const {
    const auto start = std::chrono::steady_clock::now();
    const auto engine = OpenEngine(model_, engine_);
    if (!engine.ok()) return engine.status();
    const std::chrono::duration<double> load = std::chrono::steady_clock::now() - start;
    figures->load_seconds = load.count();
    figures->info = (*engine)->info();
    WaitForPackedCache(**engine);
    EnergyCounter energy;
    SpeedOptions options = options_;
    options.joules = [&energy] { return energy.Joules(); };
    auto speed = MeasureSpeed(**engine, options);
    if (!speed.ok()) return speed.status();
    figures->speed = *std::move(speed);
    figures->peak_rss_mib = PeakRssMib();
    figures->stats = (*engine)->stats();
    return absl::OkStatus();
  }

  // Each with an engine of its own: the more sessions, the less context may be left for each.
  absl::Status MeasureBatches(Figures* figures) const {
    for (const int sequences : batches_) {
      const auto engine = OpenEngine(model_, engine_, sequences);
      if (!engine.ok()) return engine.status();
      WaitForPackedCache(**engine);
      const auto speed = MeasureBatch(**engine, sequences, options_);
      if (!speed.ok()) return speed.status();
      figures->batches.push_back({sequences, *speed});
    }
    return absl::OkStatus();
  }

  static absl::Status MeasureMachine(Figures* figures) {
    const auto limits = MeasureLimits({.threads = figures->info.threads,
                                       .bytes = figures->info.weight_bytes,
                                       .kernels = figures->info.kernels});
    if (!limits.ok()) return limits.status();
    figures->limits = *limits;
    return absl::OkStatus();
  }

  static int ContextTooShort(const absl::Status& status, const ModelInfo& info,
                             Terminal* terminal) {
    const std::string in_flags = absl::StrReplaceAll(
        status.message(), {{"SpeedOptions::depths", "--depth"}, {"SpeedOptions::", "--"}});
    terminal->Error(absl::StrCat(in_flags, " (", ContextAdvice(info), ")"));
    return kExitUsage;
  }

  void NoteLeftOut(int depth, const ModelInfo& info, Terminal* terminal) const {
    terminal->Note(absl::StrCat(
        "depth ", depth, " is left out: it needs ", PositionsNeeded(depth, options_.decode),
        " positions, but the context has ", info.context_tokens, " (", ContextAdvice(info), ")"));
  }

  void PrintText(const Figures& figures, Terminal* terminal) const {
    const ModelInfo& info = figures.info;
    std::string head = absl::StrCat(ModelNameOf(info), " · kernels ", info.kernels, " · ",
                                    info.threads, info.threads == 1 ? " thread" : " threads");
    if (const auto cpu = CpuName()) absl::StrAppend(&head, " · ", WithoutControls(*cpu));
    terminal->Line(terminal->Painted(Paint::kBold, head));
    Table table({{"figure"}, {"measured", Table::Align::kRight}, {"of this machine's limit"}});
    AddSpeeds(figures, &table);
    AddFacts(figures, &table);
    terminal->Print(table.Format(terminal->width()));
    terminal->Note(terminal->Painted(
        Paint::kDim,
        absl::StrCat(
            options_.runs == 1 ? "one run" : absl::StrCat("medians of ", options_.runs, " runs"),
            "; attention is left out of the prefill's operations")));
  }

  void AddSpeeds(const Figures& figures, Table* table) const {
    const auto speed = [](double value) { return absl::StrFormat("%.1f tokens/s", value); };
    table->Add(
        {absl::StrCat("prefill ", options_.prefill), speed(figures.speed.prefill_tokens_per_second),
         absl::StrFormat("%.0f %% of the int8 peak", figures.PercentOfPeak(options_.prefill))});
    for (const DecodeSpeed& decode : figures.speed.decode) {
      table->Add(
          {absl::StrCat("decode ", options_.decode, " at depth ", decode.depth),
           speed(decode.tokens_per_second),
           absl::StrFormat("%.0f %% of the read bandwidth", figures.PercentOfBandwidth(decode))});
    }
    for (const Figures::Batch& batch : figures.batches) {
      table->Add({absl::StrCat("decode ", options_.decode, " of ", batch.sequences, " at once"),
                  speed(batch.tokens_per_second)});
    }
  }

  static void AddFacts(const Figures& figures, Table* table) {
    const std::optional<double>& joules = figures.speed.decode.front().joules_per_token;
    table->Add({"load", absl::StrFormat("%.2f s", figures.load_seconds)});
    table->Add({"peak memory", absl::StrFormat("%.0f MiB", figures.peak_rss_mib)});
    table->Add({"weights read a token", MebibyteText(figures.info.weight_bytes)});
    table->Add(
        joules.has_value()
            ? std::vector<std::string>{"energy", absl::StrFormat("%.3f J/token", *joules)}
            : std::vector<std::string>{"energy", "not measured", "no energy counter is readable"});
    if (const std::optional<double>& celsius = figures.stats.temperature_celsius) {
      table->Add({"temperature", absl::StrFormat("%.1f °C", *celsius),
                  absl::StrCat(figures.stats.threads_in_use, " of ", figures.info.threads,
                               " threads work")});
    }
    table->Add({"int8 peak",
                absl::StrFormat("%.1f Gop/s", figures.limits.int8_operations_per_second / kGiga)});
    table->Add({"read bandwidth",
                absl::StrFormat("%.1f GB/s", figures.limits.read_bytes_per_second / kGiga)});
  }

  void PrintJson(const Figures& figures, Terminal* terminal) const {
    const DecodeSpeed& first = figures.speed.decode.front();
    internal::JsonWriter json;
    json.BeginObject();
    json.Field("model", ModelNameOf(figures.info));
    json.Field("kernels", figures.info.kernels);
    json.Field("threads", figures.info.threads);
    json.Field("kv_type", figures.info.kv_type);
    json.Field("cpu", CpuName());
    json.Field("runs", options_.runs);
    json.Field("load_s", figures.load_seconds);
    json.Field("peak_rss_mib", figures.peak_rss_mib);
    json.Field("weight_bytes", figures.info.weight_bytes);
    json.Field("prefill_tokens", options_.prefill);
    json.Field("prefill_tokens_per_s", figures.speed.prefill_tokens_per_second);
    json.Field("prefill_percent_of_int8_peak", figures.PercentOfPeak(options_.prefill));
    json.Field("decode_tokens", options_.decode);
    json.Field("decode_tokens_per_s", first.tokens_per_second);
    json.Field("decode_percent_of_bandwidth", figures.PercentOfBandwidth(first));
    json.Key("decode").BeginArray();
    for (const DecodeSpeed& decode : figures.speed.decode) {
      json.BeginObject();
      json.Field("depth", decode.depth);
      json.Field("tokens_per_s", decode.tokens_per_second);
      json.Field("percent_of_bandwidth", figures.PercentOfBandwidth(decode));
      json.EndObject();
    }
    json.EndArray();
    json.Key("batches").BeginArray();
    for (const Figures::Batch& batch : figures.batches) {
      json.BeginObject();
      json.Field("sequences", batch.sequences);
      json.Field("tokens_per_s", batch.tokens_per_second);
      json.EndObject();
    }
    json.EndArray();
    json.Field("int8_peak_gops", figures.limits.int8_operations_per_second / kGiga);
    json.Field("read_bandwidth_gb_per_s", figures.limits.read_bytes_per_second / kGiga);
    constexpr double kNull = std::numeric_limits<double>::quiet_NaN();
    json.Field("joules_per_decode_token", first.joules_per_token.value_or(kNull));
    json.Field("threads_in_use", figures.stats.threads_in_use);
    json.Field("temperature_celsius", figures.stats.temperature_celsius.value_or(kNull));
    json.EndObject();
    terminal->Line(json.Take());
  }

  std::string model_;
  SpeedOptions options_{.depths = {0, 512, 2048}, .runs = 3};
  std::vector<int> batches_;
  EngineFlags engine_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeBenchCommand() { return std::make_unique<BenchCommand>(); }

}  // namespace nearfar::cli
