// nearfar doctor: what is wrong with this machine's nearfar, or with a running daemon, and what to
// do.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "router/catalogue.h"
#include "router/cli/checkup.h"
#include "router/cli/commands.h"
#include "router/cli/exit_codes.h"
#include "router/cli/paths.h"
#include "router/internal/json_writer.h"

namespace nearfar::cli {
namespace {

const char* VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kFail:
      return "fail";
  }
  return "";
}

Paint PaintOf(Verdict verdict) {
  return verdict == Verdict::kOk     ? Paint::kGood
         : verdict == Verdict::kWarn ? Paint::kWarn
                                     : Paint::kBad;
}

int Count(const Findings& findings, Verdict verdict) {
  return static_cast<int>(
      std::count_if(findings.begin(), findings.end(),
                    [&](const Finding& finding) { return finding.verdict == verdict; }));
}

class DoctorCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    CLI::Option* policy = app->add_option("--policy", policy_, "Policy file, or a preset's name")
                              ->capture_default_str();
    CLI::Option* model = app->add_option("--model", model_, "Near model instead of the policy's");
    CLI::Option* quick =
        app->add_flag("--quick", quick_, "Do not read whole model files to hash them");
    CLI::Option* daemon = daemon_.Declare(app);
    for (CLI::Option* of_this_machine : {policy, model, quick}) of_this_machine->excludes(daemon);
    app->add_flag("--json", json_, "Print one JSON object");
  }

  int Run(Terminal* terminal) override {
    Findings findings;
    daemon_.address.empty() ? LookAtAll(&findings) : CheckDaemon(daemon_, &findings);
    json_ ? PrintJson(findings, terminal) : PrintText(findings, terminal);
    return Count(findings, Verdict::kFail) == 0 ? kExitOk : kExitUnavailable;
  }

 private:
  void LookAtAll(Findings* findings) const {
    CheckCpu(findings);
    CheckClock(findings);
    CheckDisk("models' disk", ModelsFolder(), findings);
    CheckDisk("state's disk", StateFolder(), findings);
    const bool state = CheckState(findings);
    if (state) CheckTaint(findings);
    CheckModels(!quick_, findings);
    const std::optional<PolicyConfig> config = CheckPolicy(policy_, findings);
    if (!config.has_value()) return CheckMemory(0, findings);
    const std::shared_ptr<Engine> engine = CheckNear(*config, model_, findings);
    CheckMemory(engine != nullptr ? engine->info().file_bytes : 0, findings);
    CheckCalibrationFits(*config, engine.get(), findings);
    if (state) CheckBudget(*config, findings);
    CheckFar(*config, findings);
  }

  static void PrintText(const Findings& findings, Terminal* terminal) {
    for (const Finding& finding : findings) {
      const std::string verdict = absl::StrFormat("%-4s", VerdictName(finding.verdict));
      terminal->Line(absl::StrCat(terminal->Painted(PaintOf(finding.verdict), verdict), "  ",
                                  finding.what, ": ", finding.detail));
      if (!finding.advice.empty()) terminal->Line(absl::StrCat("      > ", finding.advice));
    }
    const int fails = Count(findings, Verdict::kFail), warns = Count(findings, Verdict::kWarn);
    terminal->Line(fails + warns == 0 ? "all well"
                                      : absl::StrCat(fails, " to mend, ", warns, " to know of"));
  }

  static void PrintJson(const Findings& findings, Terminal* terminal) {
    internal::JsonWriter json;
    json.BeginObject();
    json.Field("ok", Count(findings, Verdict::kFail) == 0);
    json.Key("findings").BeginArray();
    for (const Finding& finding : findings) {
      json.BeginObject();
      json.Field("verdict", VerdictName(finding.verdict));
      json.Field("what", finding.what);
      json.Field("detail", finding.detail);
      json.Field("advice", finding.advice);
      json.EndObject();
    }
    json.EndArray();
    json.EndObject();
    terminal->Line(json.Take());
  }

  std::string policy_ = "balanced", model_;
  DaemonFlags daemon_;
  bool quick_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeDoctorCommand() { return std::make_unique<DoctorCommand>(); }

}  // namespace nearfar::cli
