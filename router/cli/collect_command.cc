// nearfar collect: both sides answer questions with known answers; what came of it goes to a file.

#include <CLI/CLI.hpp>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <unordered_set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "policies/estimators/prompt_features.h"
#include "router/cli/commands.h"
#include "router/cli/engine_door.h"
#include "router/cli/exit_codes.h"
#include "router/cli/interrupt.h"
#include "router/local_backend.h"
#include "router/tuning/collect.h"

namespace nearfar::cli {
namespace {

class CollectCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    app->add_option("--questions", questions_, "Questions with answers, JSON lines")->required();
    app->add_option("--near", near_, "Model of the near side: a name or a path")->required();
    app->add_option("--far", far_, "Model of the far side, run here too");
    app->add_option("--out", out_, "Outcomes are appended here; what it holds is not asked again")
        ->required();
    app->add_option("--max-tokens", collect_.max_tokens, "Longest answer")
        ->check(CLI::Range(1, 4096))
        ->capture_default_str();
    app->add_flag("--with-text", with_text_, "Keep the answers in the file");
    engine_.Declare(app);
  }

  int Run(Terminal* terminal) override {
    Interrupt interrupt;
    interrupt.OnInterrupt([this] { interrupted_ = true; });
    const auto questions = LoadQuestions(questions_);
    if (!questions.ok()) return terminal->Fail(questions.status());
    const auto known = KnownIds();
    if (!known.ok()) return terminal->Fail(known.status());
    const auto near = OpenSide(near_);
    if (!near.ok()) return terminal->Fail(near.status());
    std::shared_ptr<Backend> far;
    if (!far_.empty()) {
      const auto opened = OpenSide(far_);
      if (!opened.ok()) return terminal->Fail(opened.status());
      far = *opened;
    }
    return AskAll(*questions, *known, near->get(), far.get(), terminal);
  }

 private:
  absl::StatusOr<std::shared_ptr<Backend>> OpenSide(const std::string& model) const {
    auto engine = OpenEngine(model, engine_);
    if (!engine.ok()) return engine.status();
    LocalBackendOptions options;
    options.model = ModelNameOf((*engine)->info());
    options.kept_sessions = 0;
    return MakeLocalBackend(*std::move(engine), options);
  }

  // Of the outcomes that an earlier run left.
  absl::StatusOr<std::unordered_set<std::string>> KnownIds() const {
    std::unordered_set<std::string> ids;
    std::error_code error;
    const bool there = std::filesystem::exists(out_, error);
    if (error) {
      return absl::PermissionDeniedError(
          absl::StrCat(out_, ": cannot be looked at: ", error.message()));
    }
    if (!there) return ids;
    const auto outcomes = LoadOutcomes(out_);
    if (!outcomes.ok()) return outcomes.status();
    for (const Outcome& outcome : *outcomes) ids.insert(outcome.id);
    return ids;
  }

  absl::StatusOr<Outcome> AskBoth(const Question& question, Backend* near, Backend* far) const {
    Outcome outcome;
    outcome.id = question.id;
    outcome.kind = question.kind;
    outcome.template_name = question.template_name;
    outcome.level = question.level;
    outcome.feature_version = kFeatureVersion;
    auto near_outcome = AskSide(*near, question, collect_, /*with_features=*/true);
    if (!near_outcome.ok()) return near_outcome.status();
    outcome.near = *std::move(near_outcome);
    outcome.near->kv_type = engine_.kv_type;
    if (far == nullptr) return outcome;
    auto far_outcome = AskSide(*far, question, collect_, /*with_features=*/false);
    if (!far_outcome.ok()) return far_outcome.status();
    outcome.far = *std::move(far_outcome);
    return outcome;
  }

  int AskAll(const std::vector<Question>& questions, const std::unordered_set<std::string>& known,
             Backend* near, Backend* far, Terminal* terminal) const {
    std::ofstream out(out_, std::ios::app);
    if (!out) {
      terminal->Error(absl::StrCat(out_, ": cannot be written"));
      return kExitCantCreate;
    }
    double near_right = 0, far_right = 0;
    int asked = 0;
    for (const Question& question : questions) {
      if (known.count(question.id) > 0) continue;
      if (interrupted_) return kExitInterrupted;
      const auto outcome = AskBoth(question, near, far);
      if (!outcome.ok()) return terminal->Fail(outcome.status());
      out << FormatOutcome(*outcome, with_text_) << "\n" << std::flush;
      if (!out) {
        terminal->Error(absl::StrCat(out_, ": writing failed (is the disk full?)"));
        return kExitIo;
      }
      ++asked;
      near_right += outcome->near->score;
      if (outcome->far) far_right += outcome->far->score;
      if (asked % 25 == 0)
        Progress(asked, questions.size() - known.size(), near_right, far_right, far, terminal);
    }
    Progress(asked, asked, near_right, far_right, far, terminal);
    return kExitOk;
  }

  static void Progress(int asked, size_t all, double near_right, double far_right,
                       const Backend* far, Terminal* terminal) {
    if (asked == 0) return terminal->Note("nothing left to ask");
    std::string line = absl::StrFormat("%d of %d asked · near right %.0f %%", asked, all,
                                       100 * near_right / asked);
    if (far != nullptr)
      absl::StrAppendFormat(&line, " · far right %.0f %%", 100 * far_right / asked);
    terminal->Note(line);
  }

  std::atomic<bool> interrupted_{false};
  std::string questions_, near_, far_, out_;
  bool with_text_ = false;
  CollectOptions collect_;
  EngineFlags engine_;
};

}  // namespace

std::unique_ptr<Command> MakeCollectCommand() { return std::make_unique<CollectCommand>(); }

}  // namespace nearfar::cli
