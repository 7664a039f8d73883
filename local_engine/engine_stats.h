// What an engine has done and holds; part of its public face.

#ifndef NEARFAR_LOCAL_ENGINE_ENGINE_STATS_H_
#define NEARFAR_LOCAL_ENGINE_ENGINE_STATS_H_

#include <cstdint>
#include <optional>
#include <string>

namespace nearfar {

// Counters since Open, monotonic except the live_* ones, and how it is at the moment. The counters
// are up to date when OnDone of a generation is called: what that generation held is no longer
// counted then.
struct EngineStats {
  int live_sessions = 0;
  int live_generations = 0;          // asked for and not yet ended
  int64_t live_kv_bytes = 0;         // memory of the KV caches of all sessions
  int64_t prefill_tokens = 0;        // prompt tokens computed, those taken from a cache not counted
  int64_t decode_tokens = 0;         // generated tokens computed
  int64_t layers_computed = 0;       // a layer counts once a pass, whatever the number of rows
  int64_t generations_finished = 0;  // ended for any reason but cancellation
  int64_t generations_cancelled = 0;
  // Of the packed weights' file beside the model's: "mapped" where this start used it,
  // "writing" and then "written" where the next one will, "off", or why there is none.
  std::string packed_cache = {};
  // It is being written, or moved to huge pages, by a thread in the background, which takes time
  // from those that answer.
  bool packed_cache_busy = false;
  // Of ModelInfo::threads, those that had a part in the last layer computed: fewer where it was
  // hotter than EngineOptions::max_temperature.
  int threads_in_use = 0;
  // The CPU's last reading, at most about a second old; empty where EngineOptions::max_temperature
  // is not set, or the thermometer cannot be read any more.
  std::optional<double> temperature_celsius = {};
  // Somebody's next token waits for EngineOptions::max_tokens_per_second.
  bool paced = false;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_ENGINE_STATS_H_
