// What this machine can do at most, measured: the yardstick for an engine's speed (speed.h).
//
//   MeasureLimits({.threads = 2, .bytes = engine->info().weight_bytes})
//
// Decoding reads all weights once a token, so it can be no faster than memory delivers them;
// prefill multiplies each weight with many tokens, so it can be no faster than the instruction set
// multiplies. Held by tests/local_engine/limits_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_LIMITS_H_
#define NEARFAR_LOCAL_ENGINE_LIMITS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace nearfar {

struct LimitOptions {
  int threads = 1;
  // Memory to stream through, such as ModelInfo::weight_bytes: what a cache holds of it counts, as
  // it does for the model.
  int64_t bytes = 0;
  std::string kernels = {};  // as EngineOptions::kernels
};

struct MachineLimits {
  std::string kernels;  // the table whose dot products were timed
  int64_t bytes = 0;    // streamed: LimitOptions::bytes, but at most half of the usable memory
  double read_bytes_per_second = 0;
  // Of products of 4-bit weights and 8-bit activations; a multiplication with its addition is two.
  double int8_operations_per_second = 0;
};

// The best of several passes of all threads; takes a second or two, and `bytes` of memory while it
// runs. Thread-safe, but what else runs is measured too. Errors: InvalidArgument (threads outside
// [1, 512], bytes below 1, an unknown table), FailedPrecondition (a table that this CPU cannot
// run), ResourceExhausted (no memory, or no more threads).
absl::StatusOr<MachineLimits> MeasureLimits(const LimitOptions& options);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_LIMITS_H_
