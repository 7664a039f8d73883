// One record per request in SQLite: what was decided, why, by which numbers, what it cost and what
// came of it. No prompt text, no answer and no n-gram hashes unless the policy keeps prompt text.
// The file is 0600; records older than the policy's time to live are deleted.
// Thread-safe; Append never blocks on the disk longer than one transaction and drops nothing
// silently: a failed write is counted. Held by tests/router/decision_log_test.cc.

#ifndef NEARFAR_ROUTER_DECISION_LOG_H_
#define NEARFAR_ROUTER_DECISION_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "policies/decision.h"
#include "policies/signals.h"

namespace nearfar {

struct DecisionRecord {
  std::string request_id;
  absl::Time time;
  std::string policy_name;
  std::string policy_revision;
  Signals signals;                  // as Choose saw them; text-like parts are dropped on writing
  std::vector<Decision> decisions;  // in order: before, (during), after
  std::string outcome;              // "finished" or the status code's name
  std::string source;               // who wrote the answer: "near", a target, ""
  bool flagged = false;
  std::string flag_reason;
  std::optional<double> confidence;
  double cost_usd = 0;
  double seconds = 0;
  double ttft_seconds = 0;
  int64_t near_tokens = 0;  // completion tokens
  int64_t far_tokens = 0;
  int64_t discarded_tokens = 0;  // generated and thrown away
  int64_t egress_bytes = 0;      // of prompt text that left the device; 0 under taint
  bool tainted = false;
  std::string prompt_text;  // empty unless the policy keeps it
  std::string answer_text;
};

struct DecisionLogOptions {
  std::string path;  // ":memory:" for tests
  // How long a damaged file that was moved aside is kept: it may hold what its records held.
  absl::Duration keep = absl::Hours(24 * 30);
  std::function<absl::Time()> clock = [] { return absl::Now(); };
};

// One line of `nearfar log show`.
struct LogRow {
  int64_t row = 0;
  std::string request_id;
  absl::Time time;
  std::string route, target, reason, detail, outcome, source, flag_reason;
  bool flagged = false;
  std::optional<double> confidence;
  double cost_usd = 0, seconds = 0, ttft_seconds = 0;
  int64_t near_tokens = 0, far_tokens = 0, egress_bytes = 0;
  bool tainted = false;
  std::string record_json;  // everything, as one JSON object
};

class DecisionLog {
 public:
  // A damaged file, or another program's, is moved aside, and a new log begins: warning() says so.
  // Files moved aside that were last written longer than `keep` ago are deleted. Errors:
  // Unavailable (the file cannot be made or written), Internal (of a newer program, or cannot be
  // moved). No reason to answer nothing: a router runs without a log, too.
  static absl::StatusOr<std::unique_ptr<DecisionLog>> Open(const DecisionLogOptions& options);
  // For reading beside a running daemon. Errors: NotFound.
  static absl::StatusOr<std::unique_ptr<DecisionLog>> OpenReadOnly(const std::string& path);
  virtual ~DecisionLog() = default;

  virtual absl::Status Append(const DecisionRecord& record, bool keep_text,
                              absl::Duration keep) = 0;
  // Newest first; `before_row` 0 = from the newest.
  virtual absl::StatusOr<std::vector<LogRow>> Read(int limit, int64_t before_row = 0) const = 0;
  virtual absl::StatusOr<std::vector<LogRow>> ReadSince(absl::Time since) const = 0;
  virtual int64_t failed_writes() const = 0;
  // What a person should hear about the opening; empty = nothing.
  virtual const std::string& warning() const = 0;
};

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_DECISION_LOG_H_
