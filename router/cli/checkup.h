// One line of `nearfar doctor`: what was looked at, how it is, what to do. Each check is a
// function; doctor_command.cc holds their list. Held by tests/router/cli/doctor_test.cc.

#ifndef NEARFAR_ROUTER_CLI_CHECKUP_H_
#define NEARFAR_ROUTER_CLI_CHECKUP_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "local_engine/engine.h"
#include "policies/policy_config.h"
#include "router/cli/daemon_channel.h"

namespace nearfar::cli {

enum class Verdict { kOk, kWarn, kFail };

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string what;    // "model", "far home-server"
  std::string detail;  // how it is
  std::string advice;  // what to do; empty where all is well
};

using Findings = std::vector<Finding>;

// The machine.
void CheckCpu(Findings* findings);
void CheckMemory(int64_t model_bytes, Findings* findings);
void CheckClock(Findings* findings);
void CheckDisk(const std::string& what, const std::string& folder, Findings* findings);
// Whether the state can be kept; false where not, and nothing is known of the budget then.
bool CheckState(Findings* findings);

// Model files that are here; their SHA-256 only where `hash` (seconds a gigabyte).
void CheckModels(bool hash, Findings* findings);

// The policy's file; empty where it cannot be used.
std::optional<PolicyConfig> CheckPolicy(const std::string& name, Findings* findings);
// The near model that the policy (or `model`) names; nullptr where it cannot be opened.
std::shared_ptr<Engine> CheckNear(const PolicyConfig& config, const std::string& model,
                                  Findings* findings);
// `engine` may be nullptr: then whether the policy's calibration belongs to it is not looked at.
void CheckCalibrationFits(const PolicyConfig& config, const Engine* engine, Findings* findings);
// What a policy that weighs probabilities does without a calibration, and which one is shipped;
// empty where it has one or weighs none.
std::string WithoutCalibration(const PolicyConfig& config);
// Asks each far target what it runs; waits at most a few seconds for each.
void CheckFar(const PolicyConfig& config, Findings* findings);
void CheckBudget(const PolicyConfig& config, Findings* findings);
// Looks at the tainted sessions' file; owns and makes none.
void CheckTaint(Findings* findings);

// Asks a running daemon for its health: all that it tells, or why it cannot be reached.
void CheckDaemon(const DaemonFlags& daemon, Findings* findings);

}  // namespace nearfar::cli

#endif  // NEARFAR_ROUTER_CLI_CHECKUP_H_
