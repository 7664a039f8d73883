// What one generated token is: its id, its text and how sure the model was of it.
//
// The three numbers come from one pass over the logits (log-sum-exp, top two, sum of z*e^z) before
// any temperature or filter is applied, so they describe the model and not the sampling options.
// Held by tests/local_engine/sampling/token_stats_test.cc.

#ifndef NEARFAR_LOCAL_ENGINE_TOKEN_H_
#define NEARFAR_LOCAL_ENGINE_TOKEN_H_

#include <cstdint>
#include <string>

namespace nearfar {

struct Token {
  int32_t id = 0;
  // The UTF-8 text that this token completes. Always ends on a code-point boundary; empty while a
  // code point or a possible stop string is still incomplete, so the texts of all tokens
  // concatenated are the answer.
  std::string text;
  float logprob = 0;  // ln p(id), natural logarithm, <= 0
  float entropy = 0;  // of the whole next-token distribution, in nats, >= 0
  float margin = 0;   // p(first) - p(second), in [0, 1]
};

}  // namespace nearfar

#endif  // NEARFAR_LOCAL_ENGINE_TOKEN_H_
