// nearfar policy check: every mistake of every file, or what the policy is.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "policies/policy.h"
#include "policies/policy_file.h"
#include "router/cli/checkup.h"
#include "router/cli/commands.h"
#include "router/cli/exit_codes.h"
#include "router/cli/paths.h"
#include "router/internal/json_writer.h"

namespace nearfar::cli {
namespace {

const char* KindName(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kFixed:
      return "fixed";
    case PolicyKind::kThreshold:
      return "threshold";
    case PolicyKind::kNetValue:
      return "net_value";
    case PolicyKind::kCascade:
      return "cascade";
  }
  return "";
}

std::string Summary(const PolicyConfig& config) {
  return absl::StrCat(config.name, ", ", KindName(config.choose.kind), ", ", config.far.size(),
                      config.far.size() == 1 ? " far target, " : " far targets, ",
                      config.rules.size(), config.rules.size() == 1 ? " rule" : " rules",
                      config.near.calibration != nullptr ? ", calibrated" : ", not calibrated",
                      ", revision ", config.revision.substr(0, 12));
}

absl::StatusOr<PolicyConfig> Check(const std::string& name) {
  const absl::StatusOr<std::string> path = FindPolicy(name);
  if (!path.ok()) return path.status();
  absl::StatusOr<PolicyConfig> config = LoadPolicyFile(*path, {.search_paths = SharedFolders()});
  if (!config.ok()) return config;
  const auto policy = MakePolicy(*config);
  if (policy.ok()) return config;
  return absl::Status(policy.status().code(), absl::StrCat(*path, ": ", policy.status().message()));
}

class PolicyCheckCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    app->add_option("files", files_, "Policy files, or names of presets")->required();
    app->add_flag("--json", json_, "Print one JSON object a file");
    app->add_flag("--quiet", quiet_, "Say nothing of files that are right");
  }

  int Run(Terminal* terminal) override {
    bool all_right = true;
    for (const std::string& file : files_) {
      const absl::StatusOr<PolicyConfig> config = Check(file);
      all_right = all_right && config.ok();
      if (json_) {
        PrintJson(file, config, terminal);
      } else if (!config.ok()) {
        // One `file:line:col: field.path: what is wrong (what to do)` a mistake: ready for editors.
        terminal->Line(config.status().message());
      } else if (!quiet_) {
        terminal->Line(absl::StrCat(file, ": ", terminal->Painted(Paint::kGood, "ok"), " (",
                                    Summary(*config), ")"));
        const std::string missed = WithoutCalibration(*config);
        if (missed.empty()) continue;
        terminal->Line(
            absl::StrCat(file, ": ", terminal->Painted(Paint::kWarn, "warning"), ": ", missed));
      }
    }
    return all_right ? kExitOk : kExitConfig;
  }

 private:
  static void PrintJson(const std::string& file, const absl::StatusOr<PolicyConfig>& config,
                        Terminal* terminal) {
    internal::JsonWriter json;
    json.BeginObject();
    json.Field("file", file);
    json.Field("ok", config.ok());
    if (config.ok()) {
      json.Field("name", config->name);
      json.Field("revision", config->revision);
      json.Field("kind", KindName(config->choose.kind));
      json.Field("warning", WithoutCalibration(*config));
    } else {
      json.Field("errors", std::string(config.status().message()));
    }
    json.EndObject();
    terminal->Line(json.Take());
  }

  std::vector<std::string> files_;
  bool json_ = false, quiet_ = false;
};

}  // namespace

std::unique_ptr<Command> MakePolicyCheckCommand() { return std::make_unique<PolicyCheckCommand>(); }

}  // namespace nearfar::cli
