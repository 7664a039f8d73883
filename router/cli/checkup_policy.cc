// doctor's checks of what answers: model files, policy, calibration, far sides, budget,
// taint.

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cloud_client/cloud_client.h"
#include "policies/policy.h"
#include "policies/policy_file.h"
#include "router/catalogue.h"
#include "router/cli/checkup.h"
#include "router/cli/engine_door.h"
#include "router/cli/model_files.h"
#include "router/cli/paths.h"
#include "router/cloud_backend.h"
#include "router/internal/taint_file.h"
#include "router/ledger.h"
#include "router/local_backend.h"

namespace nearfar::cli {
namespace {

constexpr absl::Duration kFarPatience = absl::Seconds(5);

void CheckModel(const ModelFile& file, bool hash, Findings* findings) {
  const std::string what = absl::StrCat("model ", file.name);
  if (!hash) {
    const bool right = file.bytes == file.known->bytes;
    findings->push_back({right ? Verdict::kOk : Verdict::kFail, what,
                         absl::StrCat(MebibyteText(file.bytes),
                                      right ? ", size as published" : ", not the published size"),
                         right ? "" : absl::StrCat("scripts/models.sh ", file.name)});
    return;
  }
  const absl::Status status = VerifyModelFile(file);
  findings->push_back({status.ok() ? Verdict::kOk : Verdict::kFail, what,
                       status.ok()
                           ? absl::StrCat(MebibyteText(file.bytes), ", SHA-256 as published")
                           : std::string(status.message()),
                       status.ok() ? "" : absl::StrCat("scripts/models.sh ", file.name)});
}

// The calibration that is shipped for a near model; "" where none is.
std::string ShippedCalibration(const std::string& model) {
  const CatalogueModel* known = FindModel(model);
  const std::string file =
      absl::StrCat(known == nullptr ? model : known->name, ".calibration.yaml");
  for (const std::string& folder : SharedFolders()) {
    std::error_code error;
    if (std::filesystem::is_regular_file(absl::StrCat(folder, "/", file), error)) return file;
  }
  return "";
}

void CheckOneFar(const FarConfig& far, Findings* findings) {
  const std::string what = absl::StrCat("far ", far.name);
  const auto fail = [&](const absl::Status& status, const char* advice) {
    findings->push_back({Verdict::kFail, what, std::string(status.message()), advice});
  };
  auto options = MakeCloudOptions(far, [] { return absl::Now(); });
  if (!options.ok()) {
    fail(options.status(), "correct the policy, or put the file there");
    return;
  }
  auto client = CloudClient::Create(*std::move(options));
  if (!client.ok()) {
    fail(client.status(), "correct the target in the policy");
    return;
  }
  const auto model = (*client)->GetModel(absl::Now() + kFarPatience);
  if (!model.ok()) {
    fail(model.status(),
         "does it run, is the address right, do both certificates have one authority?");
    return;
  }
  findings->push_back({Verdict::kOk, what,
                       absl::StrFormat("%s at %s, context %d, $%g in / $%g out per million tokens",
                                       model->model, far.target, model->context_tokens,
                                       model->input_usd_per_mtok, model->output_usd_per_mtok),
                       ""});
}

}  // namespace

void CheckModels(bool hash, Findings* findings) {
  bool any = false;
  for (const ModelFile& file : ListModelFiles()) {
    any = any || file.here;
    if (file.here && file.known != nullptr) CheckModel(file, hash, findings);
  }
  if (!any) {
    findings->push_back({Verdict::kFail, "models", absl::StrCat("none in ", ModelsFolder()),
                         "scripts/models.sh fetches the default ones"});
  }
}

std::optional<PolicyConfig> CheckPolicy(const std::string& name, Findings* findings) {
  const absl::StatusOr<std::string> path = FindPolicy(name);
  if (!path.ok()) {
    findings->push_back({Verdict::kFail, "policy", std::string(path.status().message()), ""});
    return std::nullopt;
  }
  auto config = LoadPolicyFile(*path, {.search_paths = SharedFolders()});
  absl::Status status = config.status();
  if (status.ok()) status = MakePolicy(*config).status();
  if (!status.ok()) {
    const std::vector<std::string> lines = absl::StrSplit(status.message(), '\n');
    findings->push_back({Verdict::kFail, "policy",
                         lines.size() == 1
                             ? lines[0]
                             : absl::StrCat(lines[0], " (and ", lines.size() - 1, " more)"),
                         absl::StrCat("nearfar policy check ", name, " tells all")});
    return std::nullopt;
  }
  findings->push_back(
      {Verdict::kOk, "policy",
       absl::StrCat(config->name, " of ", *path, ", revision ", config->revision.substr(0, 12)),
       ""});
  return *std::move(config);
}

std::shared_ptr<Engine> CheckNear(const PolicyConfig& config, const std::string& model,
                                  Findings* findings) {
  // A checkup writes nothing. Keys and values are kept as the calibration has it, so that it is
  // told whether that belongs to the model.
  EngineFlags flags = {.packed_cache = false};
  if (const auto& calibration = config.near.calibration; calibration != nullptr) {
    flags.kv_type = calibration->binding.kv_type;
  }
  const auto engine = OpenEngine(model.empty() ? config.near.model : model, flags);
  if (!engine.ok()) {
    findings->push_back({Verdict::kFail, "near model", std::string(engine.status().message()),
                         "without it every question goes far, or fails"});
    return nullptr;
  }
  const ModelInfo& info = (*engine)->info();
  findings->push_back(
      {Verdict::kOk, "near model",
       absl::StrFormat("%s: %s, %s, template %s, context %d, %d threads, keys and "
                       "values %s",
                       ModelNameOf(info), info.architecture, info.quantization, info.template_name,
                       info.context_tokens, info.threads, info.kv_type),
       ""});
  return *engine;
}

std::string WithoutCalibration(const PolicyConfig& config) {
  if (config.near.calibration != nullptr || config.choose.kind == PolicyKind::kFixed) return "";
  const std::string shipped = ShippedCalibration(config.near.model);
  return absl::StrCat("without near.calibration it always does near.when_unknown: ",
                      RouteName(config.near.when_unknown),
                      shipped.empty()
                          ? " (nearfar calibrate fits one)"
                          : absl::StrCat(" (shipped: near.calibration: ", shipped, ")"));
}

void CheckCalibrationFits(const PolicyConfig& config, const Engine* engine, Findings* findings) {
  if (config.near.calibration == nullptr) {
    const std::string missed = WithoutCalibration(config);
    findings->push_back({missed.empty() ? Verdict::kOk : Verdict::kWarn, "calibration",
                         missed.empty() ? "the policy names none, and needs none" : missed, ""});
    return;
  }
  if (engine == nullptr) return;
  const absl::Status status = CheckCalibration(config, BindingOf(engine->info()));
  if (status.ok()) {
    findings->push_back({Verdict::kOk, "calibration",
                         absl::StrCat(config.near.calibration->name,
                                      " belongs to the near model with keys and values in ",
                                      engine->info().kv_type),
                         ""});
    return;
  }
  findings->push_back({Verdict::kWarn, "calibration", std::string(status.message()),
                       absl::StrCat("fit one for this model (until then the policy's fallback "
                                    "acts: ",
                                    RouteName(config.near.when_unknown), ")")});
}

void CheckFar(const PolicyConfig& config, Findings* findings) {
  if (config.far.empty()) {
    findings->push_back({Verdict::kOk, "far", "the policy names no far side", ""});
  }
  for (const FarConfig& far : config.far) CheckOneFar(far, findings);
}

void CheckBudget(const PolicyConfig& config, Findings* findings) {
  const auto look = Ledger::Look(LedgerPath(), absl::Now());
  if (absl::IsDataLoss(look.status())) {
    findings->push_back({Verdict::kFail, "budget", std::string(look.status().message()),
                         "the next start moves it aside and counts this window's budget as spent"});
    return;
  }
  if (!look.ok() && !absl::IsNotFound(look.status())) {
    findings->push_back({Verdict::kWarn, "budget", std::string(look.status().message()), ""});
    return;
  }
  if (look.ok() && look->unknown) {
    findings->push_back({Verdict::kWarn, "budget", "what was spent in this window is not known",
                         "far sides that cost rest until the window ends"});
    return;
  }
  const double spent = look.ok() ? look->spent_usd : 0;  // without a ledger nothing was ever spent
  if (!config.budget.limit_usd.has_value()) {
    findings->push_back({Verdict::kOk, "budget",
                         absl::StrFormat("$%.6f spent in this window, no limit", spent), ""});
    return;
  }
  const bool left = spent < *config.budget.limit_usd;
  findings->push_back(
      {left ? Verdict::kOk : Verdict::kWarn, "budget",
       absl::StrFormat("$%.6f of $%g spent in this window", spent, *config.budget.limit_usd),
       left ? "" : "far sides rest until the window ends"});
}

void CheckTaint(Findings* findings) {
  auto file = internal::TaintFile::Look(TaintPath());
  int64_t sessions = 0;
  absl::Status read = file.status();
  if (read.ok()) read = file->Read([&](const std::string&) { ++sessions; });
  if (!read.ok() && !absl::IsNotFound(read)) {
    findings->push_back({Verdict::kFail, "taint", std::string(read.message()),
                         "no session leaves the device until this is mended; moving the file away "
                         "forgets which sessions were tainted"});
    return;
  }
  findings->push_back({Verdict::kOk, "taint",
                       absl::StrCat(sessions, sessions == 1 ? " session stays" : " sessions stay",
                                    " on the device"),
                       ""});
}

}  // namespace nearfar::cli
