// How a generation picks its tokens; part of the engine's public face.

#ifndef NEARFAR_LOCAL_ENGINE_SAMPLING_OPTIONS_H_
#define NEARFAR_LOCAL_ENGINE_SAMPLING_OPTIONS_H_

#include <cstdint>

namespace nearfar {

// How the next token is picked. Defaults are greedy.
struct SamplingOptions {
  float temperature = 0;         // 0 = greedy; otherwise > 0
  int top_k = 0;                 // 0 = off
  float top_p = 1;               // in (0, 1]; 1 = off
  float min_p = 0;               // in [0, 1); 0 = off
  float repetition_penalty = 1;  // > 0; 1 = off; applied to the last repetition_window tokens
  int repetition_window = 64;
  uint64_t seed = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_SAMPLING_OPTIONS_H_
