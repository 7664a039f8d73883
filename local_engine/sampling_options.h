// How a generation picks its tokens; part of the engine's public face.

#ifndef NEARFAR_LOCAL_ENGINE_SAMPLING_OPTIONS_H_
#define NEARFAR_LOCAL_ENGINE_SAMPLING_OPTIONS_H_

#include <cstdint>

namespace nearfar {

// A penalty outside of these says nothing more: it takes every seen token out, or brings it back
// for good.
inline constexpr float kLeastRepetitionPenalty = 0.01f;
inline constexpr float kMostRepetitionPenalty = 100;

// Of one request; together they bound what a generation holds to look for them.
inline constexpr int kMostStops = 16;
inline constexpr int kMostStopBytes = 1024;  // of each

// How the next token is picked. Defaults are greedy.
struct SamplingOptions {
  float temperature = 0;  // 0 = greedy; otherwise > 0
  int top_k = 0;          // 0 = off
  float top_p = 1;        // in (0, 1]; 1 = off
  float min_p = 0;        // in [0, 1); 0 = off
  // In [kLeastRepetitionPenalty, kMostRepetitionPenalty]; 1 = off. Of the last repetition_window
  // tokens.
  float repetition_penalty = 1;
  int repetition_window = 64;
  uint64_t seed = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_SAMPLING_OPTIONS_H_
