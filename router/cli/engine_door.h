// Opens the engine of a model that a person named.

#ifndef NEARFAR_ROUTER_CLI_ENGINE_DOOR_H_
#define NEARFAR_ROUTER_CLI_ENGINE_DOOR_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "local_engine/engine.h"
#include "router/cli/terminal.h"

namespace CLI {
class App;
}

namespace nearfar::cli {

struct EngineFlags {
  int threads = 0;
  int context_tokens = 0;
  std::string kernels = {};
  std::string kv_type = "f16";
  bool packed_cache = true;
  double max_tokens_per_second = 0;
  double max_temperature = 0;

  void Declare(CLI::App* app);
};

// `model` is a catalogue name, a file of the models folder or a path. Where `model` is empty the
// first default model that is there is taken. A person asks one thing at a time, so one session is
// enough for most. Errors name the file and what to do.
absl::StatusOr<std::shared_ptr<Engine>> OpenEngine(const std::string& model,
                                                   const EngineFlags& flags, int max_sessions = 1);

// The name that people know the engine's file by: the catalogue's, or the file's without ".gguf".
std::string ModelNameOf(const ModelInfo& info);

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_ENGINE_DOOR_H_
