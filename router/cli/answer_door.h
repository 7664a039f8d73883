// The way to a routed answer: a router in this process, or a daemon over gRPC. Commands that ask
// see this alone. Thread-safe. Held by tests/router/cli/commands_test.cc and
// daemon_door_test.cc.

#ifndef NEARFAR_ROUTER_CLI_ANSWER_DOOR_H_
#define NEARFAR_ROUTER_CLI_ANSWER_DOOR_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "router/cli/daemon_channel.h"
#include "router/cli/engine_door.h"
#include "router/cli/terminal.h"
#include "router/query.h"
#include "router/router.h"

namespace CLI {
class App;
}

namespace nearfar::cli {

class AnswerDoor {
 public:
  virtual ~AnswerDoor() = default;
  // As Router::Start and Router::Explain.
  virtual std::shared_ptr<RouterCall> Start(Query query, std::shared_ptr<EventSink> sink) = 0;
  virtual absl::StatusOr<Decision> Explain(const Query& query) = 0;
  // As Router::ClearTaint; Unimplemented where the daemon is too old to know of it.
  virtual absl::Status ClearTaint(const std::string& session_key) = 0;
  // Who answers, in a few words: the daemon's address, or policy and near model.
  virtual std::string name() const = 0;
};

// The options that say which door to take; `ask` and `chat` share them.
struct DoorFlags {
  std::string policy = "balanced";
  std::string model;   // instead of the policy's near model
  DaemonFlags daemon;  // without an address: in this process
  EngineFlags engine;

  void Declare(CLI::App* app);
};

// What the door is wanted for. An explanation spends and records nothing: it reads what was spent
// and tainted, owns and makes no file, and works beside a daemon that owns them.
enum class DoorUse { kAnswer, kExplain };

// Errors: InvalidArgument (the policy is wrong: one line a mistake), NotFound (no such policy),
// Unavailable (the ledger cannot be opened), DataLoss (it is damaged). `terminal` hears what is
// missing but not needed, and outlives the door.
absl::StatusOr<std::unique_ptr<AnswerDoor>> OpenRouterDoor(const DoorFlags& flags, DoorUse use,
                                                           Terminal* terminal);
// Does not connect yet. Errors: those of OpenDaemonChannel.
absl::StatusOr<std::unique_ptr<AnswerDoor>> OpenDaemonDoor(const DaemonFlags& flags);

// The one that the flags ask for. Errors: theirs; InvalidArgument (no such kernels).
absl::StatusOr<std::unique_ptr<AnswerDoor>> OpenDoor(const DoorFlags& flags, DoorUse use,
                                                     Terminal* terminal);

// Says why a door did not open; returns the exit code (a wrong policy is a wrong configuration).
int FailOpening(const absl::Status& status, Terminal* terminal);

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_ANSWER_DOOR_H_
