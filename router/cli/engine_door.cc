// See engine_door.h.

#include "router/cli/engine_door.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "router/catalogue.h"

namespace nearfar::cli {
namespace {

constexpr int kMostContext = 1 << 20;

// The middle one of the default models answers best for its size on a small machine.
constexpr const char* kPreferred[] = {"qwen2.5-coder-0.5b-instruct-q4_k_m",
                                      "smollm2-135m-instruct-q4_1",
                                      "qwen2.5-coder-1.5b-instruct-q4_k_m"};

absl::StatusOr<std::string> AnyModelFile() {
  for (const char* name : kPreferred) {
    const auto path = FindModelFile(name);
    if (path.ok()) return path;
  }
  return absl::NotFoundError(absl::StrCat("no model is in ", ModelsFolder(),
                                          " (scripts/models.sh fetches the default ones)"));
}

// What the engine says of its options, by the names that they have here.
std::string InFlags(absl::string_view message) {
  return absl::StrReplaceAll(message,
                             {{"EngineOptions::max_tokens_per_second", "--max-tokens-per-second"},
                              {"EngineOptions::context_tokens", "--context"},
                              {"EngineOptions::threads", "--threads"},
                              {"EngineOptions::kernels", "--kernels"},
                              {"EngineOptions::max_sessions", "--batch"},
                              {"EngineOptions::max_temperature", "--max-temperature"}});
}

}  // namespace

void EngineFlags::Declare(CLI::App* app) {
  app->add_option("--threads", threads, "Threads of the engine; 0 = one a core")
      ->check(CLI::Range(0, EngineOptions::kMostThreads));
  app->add_option("--context", context_tokens, "Tokens of a session's context; 0 = the default")
      ->check(CLI::Range(0, kMostContext));
  app->add_option("--kernels", kernels, "Kernel table by name; default: the best for this CPU")
      ->check([](const std::string& name) {
        return std::string(Engine::CheckKernels(name).message());
      });
  app->add_option("--kv-type", kv_type, "How keys and values are kept: f16, or q8_0 in half of it")
      ->check(
          [](const std::string& name) { return std::string(Engine::CheckKvType(name).message()); })
      ->capture_default_str();
  app->add_flag("!--no-packed-cache", packed_cache,
                "Do not read or write the packed weights in a file beside the model's");
  app->add_option("--max-tokens-per-second", max_tokens_per_second,
                  "Generate no more, to save a battery; 0 = no limit")
      ->check(CLI::Range(0.0, EngineOptions::kMostTokensPerSecond));
  app->add_option("--max-temperature", max_temperature,
                  "Degrees Celsius of the CPU from which fewer threads work; 0 = none")
      ->check(CLI::Range(0.0, EngineOptions::kMostCelsius));
}

absl::StatusOr<std::shared_ptr<Engine>> OpenEngine(const std::string& model,
                                                   const EngineFlags& flags, int max_sessions) {
  const absl::StatusOr<std::string> path = model.empty() ? AnyModelFile() : FindModelFile(model);
  if (!path.ok()) return path.status();
  EngineOptions options;
  options.threads = flags.threads;
  options.context_tokens = flags.context_tokens;
  options.kernels = flags.kernels;
  options.kv_type = flags.kv_type;
  options.packed_cache = flags.packed_cache;
  options.max_tokens_per_second = flags.max_tokens_per_second;
  options.max_temperature = flags.max_temperature;
  options.max_sessions = max_sessions;
  absl::StatusOr<std::shared_ptr<Engine>> engine = Engine::Open(*path, options);
  if (engine.ok()) return engine;
  const std::string why = InFlags(engine.status().message());
  return absl::Status(engine.status().code(),
                      absl::StrContains(why, *path) ? why : absl::StrCat(*path, ": ", why));
}

std::string ModelNameOf(const ModelInfo& info) {
  const std::filesystem::path path = info.path;
  if (const CatalogueModel* model = FindModel(path.filename().string())) return model->name;
  return path.extension() == ".gguf" ? path.stem().string() : path.filename().string();
}

}  // namespace nearfar::cli
