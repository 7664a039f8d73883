// What an application asks the router, and what it hears back.
// Plain values; no gRPC, protobuf or engine type. Held by tests/router/router_test.cc.

#ifndef NEARFAR_ROUTER_QUERY_H_
#define NEARFAR_ROUTER_QUERY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "policies/decision.h"

namespace nearfar {

// One turn. role: "system", "user", "assistant", "tool".
struct Message {
  std::string role;
  std::string content;
};

enum class ResponseFormat { kText, kJson };

// Defaults are greedy. Ranges as in local_engine/sampling_options.h; a side that cannot honour an
// option ignores it.
struct SamplingParams {
  float temperature = 0;
  int top_k = 0;
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;
  uint64_t seed = 0;
};

// May only tighten the policy, never loosen it.
struct RequestOptions {
  std::optional<Route> route;  // kNear or kFar; empty = the policy decides
  std::optional<double> max_cost_usd;
  std::optional<absl::Duration> max_ttft;
  std::optional<double> min_confidence;
  bool local_only = false;     // nothing of this request leaves the device
  bool allow_retract = false;  // the app understands Retract
};

struct Query {
  std::string id;           // empty = the router makes one
  std::string session_key;  // names a conversation: KV reuse and taint; empty = none
  std::vector<Message> messages;
  SamplingParams sampling;
  int max_tokens = 0;  // 0 = RouterOptions::default_max_tokens
  std::vector<std::string> stop;
  ResponseFormat format = ResponseFormat::kText;
  RequestOptions options;
  absl::Time deadline = absl::InfiniteFuture();
};

enum class FinishReason { kStop, kLength, kContentFilter, kToolCalls };
const char* FinishReasonName(FinishReason reason);  // "stop", "length", ...

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_prompt_tokens = 0;
};

// Events, in order: Started once; any number of Delta (and Retract, where allow_retract); exactly
// one of Finished or Failed, last. The texts of the deltas (less what was retracted) are the
// answer.
struct Started {
  std::string request_id;
  Decision decision;
};

struct Delta {
  std::string text;    // ends on a UTF-8 code-point boundary, not empty
  std::string source;  // "near" or the far target's name
};

struct Retract {
  int64_t from = 0;  // byte offset in what was released
};

struct Finished {
  FinishReason reason = FinishReason::kStop;
  std::string text;  // the whole answer; equals what the deltas made
  Usage near_usage;
  Usage far_usage;
  double cost_usd = 0;
  std::optional<double> confidence;  // calibrated P(near right), where near drafted
  Decision decision;                 // the last one taken
  bool flagged = false;              // the policy wanted another answer but could not get it
  std::string flag_reason;           // code of Reason, or "released" (could no longer be replaced)
  std::string source;                // who wrote the last part: "near" or a target
  absl::Duration elapsed;
  absl::Duration ttft;  // to the first released text
};

struct Failed {
  absl::Status status;
  Decision decision;
  double cost_usd = 0;
};

// Receives one request's events. Calls come one at a time, from any thread, and must not block.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void OnStarted(const Started& event) = 0;
  virtual void OnDelta(const Delta& event) = 0;
  virtual void OnRetract(const Retract& event) {}
  virtual void OnFinished(const Finished& event) = 0;
  virtual void OnFailed(const Failed& event) = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_QUERY_H_
