// How much an answer can have of anything: a server that sends or bills more breaks the protocol,
// whatever it says. Why: what a far side tells reaches sums, memory and money, so each number of it
// has a ceiling that is known before the call. Pure. Held by
// tests/cloud_client/protocols/answer_bounds_test.cc.

#ifndef NEARFAR_CLOUD_CLIENT_PROTOCOLS_ANSWER_BOUNDS_H_
#define NEARFAR_CLOUD_CLIENT_PROTOCOLS_ANSWER_BOUNDS_H_

#include <cstddef>
#include <cstdint>

#include "cloud_client/call.h"

namespace nearfar {

// Of a model's name, fingerprint or quantization, in bytes.
inline constexpr size_t kLongestName = 256;

struct AnswerBounds {
  int64_t text_bytes = 0;
  int64_t events = 0;             // messages of any kind
  int64_t prompt_tokens = 0;      // of usage
  int64_t completion_tokens = 0;  // of usage
  double bill_usd = 0;
};

// Prices are the caller's own, in USD per million tokens. A server may charge more than they say,
// and may know a template or a system prompt of its own, so every bound leaves room.
AnswerBounds BoundsOf(const CloudRequest& call, double input_usd_per_mtok,
                      double output_usd_per_mtok);

// The fewest tokens that these texts, sent in so many pieces, can have: usage below it is wrong.
int64_t FewestTokens(int64_t pieces, int64_t text_bytes);

}  // namespace nearfar

#endif  // NEARFAR_CLOUD_CLIENT_PROTOCOLS_ANSWER_BOUNDS_H_
