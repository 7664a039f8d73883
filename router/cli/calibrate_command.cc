// nearfar calibrate: outcomes to a calibration file, and how good it is on what it did not see.

#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "policies/estimators/prompt_features.h"
#include "policies/policy_file.h"
#include "router/cli/commands.h"
#include "router/cli/engine_door.h"
#include "router/cli/exit_codes.h"
#include "router/cli/table.h"
#include "router/local_backend.h"
#include "router/tuning/calibrate.h"

namespace nearfar::cli {
namespace {

class CalibrateCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    app->add_option("--questions", questions_, "The questions that were asked")->required();
    app->add_option("--outcomes", outcomes_, "What `nearfar collect` wrote")->required();
    app->add_option("--near", near_, "The near model that answered: a name or a path")->required();
    app->add_option("--far", far_, "The far model, so that its file is named too");
    app->add_option("--out", out_, "Calibration file to write; without it, only the figures");
    app->add_option("--seed", options_.seed, "Of the folds")->capture_default_str();
    app->add_option("--folds", options_.folds, "Folds of whole templates")
        ->check(CLI::Range(2, 20))
        ->capture_default_str();
  }

  int Run(Terminal* terminal) override {
    const auto questions = LoadQuestions(questions_);
    if (!questions.ok()) return terminal->Fail(questions.status());
    const auto outcomes = LoadOutcomes(outcomes_);
    if (!outcomes.ok()) return terminal->Fail(outcomes.status());
    if (absl::Status status = FillBinding(*outcomes); !status.ok()) return terminal->Fail(status);
    const auto result = FitCalibration(*questions, *outcomes, options_);
    if (!result.ok()) return terminal->Fail(result.status());
    Show(*result, terminal);
    return out_.empty() ? kExitOk : Write(result->calibration, terminal);
  }

 private:
  absl::Status FillBinding(const std::vector<Outcome>& outcomes) {
    auto kv_type = KvTypeOfOutcomes(outcomes);
    if (!kv_type.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(outcomes_, ": ", kv_type.status().message()));
    }
    const auto near = OpenEngine(near_, {.kv_type = *std::move(kv_type)});
    if (!near.ok()) return near.status();
    options_.name = ModelNameOf((*near)->info());
    options_.binding = BindingOf((*near)->info());
    options_.command = absl::StrCat("nearfar calibrate --questions ", BaseName(questions_),
                                    " --outcomes ", BaseName(outcomes_), " --near ", options_.name,
                                    " --seed ", options_.seed, " --folds ", options_.folds);
    if (far_.empty()) return absl::OkStatus();
    const auto far = OpenEngine(far_, {});
    if (!far.ok()) return far.status();
    options_.far_fingerprint = (*far)->info().fingerprint;
    return absl::OkStatus();
  }

  static std::string BaseName(const std::string& path) {
    return path.substr(path.find_last_of('/') + 1);
  }

  static void Show(const CalibrateResult& result, Terminal* terminal) {
    terminal->Line(absl::StrFormat("%d questions · near right %.1f %% · far right %.1f %%",
                                   result.questions, 100 * result.near_right,
                                   100 * result.far_right));
    Table table({{"held out"},
                 {"AUROC", Table::Align::kRight},
                 {"ECE", Table::Align::kRight},
                 {"Brier", Table::Align::kRight}});
    for (const HeldOut& held : result.held_out) {
      table.Add({held.name, absl::StrFormat("%.3f", held.auroc),
                 held.probability ? absl::StrFormat("%.3f", held.ece) : "",
                 held.probability ? absl::StrFormat("%.3f", held.brier) : ""});
    }
    terminal->Print(table.Format(terminal->width()));
  }

  int Write(const Calibration& calibration, Terminal* terminal) const {
    std::ofstream out(out_);
    out << FormatCalibration(calibration);
    out.close();
    if (!out) {
      terminal->Error(absl::StrCat(out_, ": cannot be written"));
      return kExitCantCreate;
    }
    terminal->Note(absl::StrCat("wrote ", out_));
    return kExitOk;
  }

  std::string questions_, outcomes_, near_, far_, out_;
  CalibrateOptions options_;
};

}  // namespace

std::unique_ptr<Command> MakeCalibrateCommand() { return std::make_unique<CalibrateCommand>(); }

}  // namespace nearfar::cli
