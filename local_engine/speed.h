// How fast an engine answers: tokens per second of prefill, of decoding at some depths of its
// context, and of decoding several sequences at once. Greedy, with fixed tokens; through the
// public face alone, so it is what an application gets. What one token takes, to be set beside
// MachineLimits (limits.h), is told here too.
//
//   auto engine = Engine::Open(path, {.max_sessions = 1});
//   auto speed = MeasureSpeed(**engine, {.runs = 3});
//
// Held by tests/local_engine/speed_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_SPEED_H_
#define NEARFAR_LOCAL_ENGINE_SPEED_H_

#include <functional>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "local_engine/engine.h"

namespace nearfar {

struct SpeedOptions {
  int prefill = 512;              // tokens of the prompt that is timed, >= 1
  int decode = 128;               // tokens generated at each depth, >= 1
  std::vector<int> depths = {0};  // tokens in the KV cache before them, each >= 0
  int runs = 1;                   // of which the medians are told, >= 1
  // The energy that was used since some moment, in joules; empty = not known. Called on the
  // engine's scheduler thread.
  std::function<std::optional<double>()> joules = {};
};

struct DecodeSpeed {
  int depth = 0;
  double tokens_per_second = 0;
  double positions = 0;  // of the KV cache that a token reads, on average
  std::optional<double> joules_per_token;
};

struct EngineSpeed {
  double prefill_tokens_per_second = 0;
  std::vector<DecodeSpeed> decode;  // in the order of SpeedOptions::depths
  std::vector<int> left_out;        // depths that do not fit the context
};

// Positions of a context that decoding `decode` tokens at `depth` takes.
int PositionsNeeded(int depth, int decode);

// After one short run that is not timed. Needs one free session. Errors: InvalidArgument (an option
// outside its range), OutOfRange (the context is too short for the prefill, or for every depth:
// says how long it is), and those of Engine::NewSession and Session::Generate.
absl::StatusOr<EngineSpeed> MeasureSpeed(Engine& engine, const SpeedOptions& options);

// Tokens per second of `sequences` (>= 1) that are decoded at once, of all of them together: median
// of options.runs, options.decode tokens each, at depth 0; the other options do not matter. Needs
// as many free sessions. Errors: as above.
absl::StatusOr<double> MeasureBatch(Engine& engine, int sequences, const SpeedOptions& options);

// Bytes that decoding one token reads: the weights, and keys and values of `positions` positions.
double BytesPerToken(const ModelInfo& info, double positions);

// Multiplications and additions with weights for one token of a prompt of `prefill` tokens, whose
// last one alone needs logits. Those of attention, few in a short prompt, are left out.
double OperationsPerToken(const ModelInfo& info, int prefill);

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_SPEED_H_
