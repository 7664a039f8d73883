// doctor's checks of a running daemon: what its GetHealth says, one line a thing.

#include <grpcpp/grpcpp.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nearfar/v1/router.grpc.pb.h"
#include "policies/signals.h"
#include "router/cli/checkup.h"
#include "router/cli/daemon_channel.h"

namespace nearfar::cli {
namespace {

using Health = nearfar::v1::GetHealthResponse;

absl::StatusOr<Health> Ask(const DaemonFlags& daemon) {
  const auto channel = OpenDaemonChannel(daemon);
  if (!channel.ok()) return channel.status();
  const auto stub = nearfar::v1::RouterService::NewStub(*channel);
  return CallDaemon(stub.get(), &nearfar::v1::RouterService::Stub::GetHealth,
                    nearfar::v1::GetHealthRequest(), daemon.address);
}

void TellPolicy(const Health& health, Findings* findings) {
  findings->push_back(
      {Verdict::kOk, "policy",
       absl::StrCat(health.policy_name(), ", revision ", health.policy_revision().substr(0, 12)),
       ""});
  if (health.last_reload_successful()) return;
  findings->push_back({Verdict::kFail, "reload", health.last_reload_error(),
                       "correct the policy's file; until then the one above stays in force"});
}

// What holds the near side below its speed, where a limit is set.
void TellLimits(const Health::NearHealth& near, Findings* findings) {
  if (near.paced()) {
    findings->push_back({Verdict::kOk, "pace", "tokens wait for model.max_tokens_per_second", ""});
  }
  const bool all = near.threads_in_use() == near.threads();
  if (!near.has_temperature_celsius() && all) return;
  findings->push_back(
      {all ? Verdict::kOk : Verdict::kWarn, "heat",
       absl::StrCat(near.has_temperature_celsius()
                        ? absl::StrFormat("%.1f °C", near.temperature_celsius())
                        : "no reading",
                    ", ", near.threads_in_use(), " of ", near.threads(), " threads work"),
       all ? "" : "near answers are slower until it is cooler (model.max_temperature)"});
}

void TellNear(const Health& health, Findings* findings) {
  const bool near = !health.near_model().empty();
  findings->push_back({near ? Verdict::kOk : Verdict::kWarn, "near model",
                       near ? health.near_model() : "none",
                       near ? "" : "every question goes far, or fails"});
  findings->push_back(
      {health.calibration_matches() ? Verdict::kOk : Verdict::kWarn, "calibration",
       health.calibration_matches() ? "belongs to the near model" : health.calibration_status(),
       ""});
  if (health.has_near()) TellLimits(health.near(), findings);
}

void TellFar(const Health& health, Findings* findings) {
  if (health.far().empty()) {
    findings->push_back({Verdict::kOk, "far", "the policy names no far side", ""});
  }
  for (const Health::FarHealth& far : health.far()) {
    const bool well = far.state() == HealthName(nearfar::Health::kHealthy) ||
                      far.state() == HealthName(nearfar::Health::kUnknown);
    findings->push_back({well ? Verdict::kOk : Verdict::kWarn, absl::StrCat("far ", far.name()),
                         far.state(), well ? "" : "does it run, and is the address right?"});
  }
}

void TellBudget(const Health& health, Findings* findings) {
  const double spent = health.budget_spent_usd(), limit = health.budget_limit_usd();
  if (limit <= 0) {
    findings->push_back({Verdict::kOk, "budget",
                         absl::StrFormat("$%.6f spent in this window, no limit", spent), ""});
    return;
  }
  findings->push_back({spent < limit ? Verdict::kOk : Verdict::kWarn, "budget",
                       absl::StrFormat("$%.6f of $%g spent in this window", spent, limit),
                       spent < limit ? "" : "far sides rest until the window ends"});
}

void TellRecords(const Health& health, Findings* findings) {
  if (!health.taint_status().empty()) {
    findings->push_back({Verdict::kFail, "taint", health.taint_status(),
                         "until then every conversation stays on the device"});
  }
  if (health.lost_records() > 0) {
    findings->push_back({Verdict::kWarn, "log",
                         absl::StrCat(health.lost_records(), " records could not be written"),
                         "is the daemon's disk full?"});
  }
}

}  // namespace

void CheckDaemon(const DaemonFlags& daemon, Findings* findings) {
  const absl::StatusOr<Health> health = Ask(daemon);
  if (!health.ok()) {
    findings->push_back({Verdict::kFail, "daemon", std::string(health.status().message()), ""});
    return;
  }
  findings->push_back({Verdict::kOk, "daemon",
                       absl::StrCat("nearfard ", health->version(), " at ", daemon.address), ""});
  TellPolicy(*health, findings);
  TellNear(*health, findings);
  TellFar(*health, findings);
  TellBudget(*health, findings);
  TellRecords(*health, findings);
}

}  // namespace nearfar::cli
