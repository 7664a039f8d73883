// nearfar models verify: are the files those that were published?

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "router/cli/commands.h"
#include "router/cli/exit_codes.h"
#include "router/cli/model_files.h"

namespace nearfar::cli {
namespace {

class ModelsVerifyCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    app->add_option("models", names_, "Names or paths; without one, all known files that are here");
  }

  int Run(Terminal* terminal) override {
    std::vector<ModelFile> files;
    for (const std::string& name : names_) {
      const absl::StatusOr<ModelFile> file = FindListed(name);
      if (!file.ok()) return terminal->Fail(file.status());
      files.push_back(*file);
    }
    if (names_.empty()) files = AllThatAreHere();
    if (files.empty()) {
      terminal->Error("no known model file is here (scripts/models.sh fetches the default ones)");
      return kExitNoInput;
    }
    int code = kExitOk;
    for (const ModelFile& file : files) {
      const absl::Status status = VerifyModelFile(file);
      const std::string word = status.ok()             ? terminal->Painted(Paint::kGood, "ok")
                               : file.known == nullptr ? terminal->Painted(Paint::kWarn, "?")
                                                       : terminal->Painted(Paint::kBad, "BAD");
      terminal->Line(
          absl::StrCat(word, "  ", file.name, "  ",
                       status.ok() ? MebibyteText(file.bytes) : std::string(status.message())));
      if (!status.ok() && code == kExitOk) code = ExitCodeOf(status);
    }
    return code;
  }

 private:
  static std::vector<ModelFile> AllThatAreHere() {
    std::vector<ModelFile> files;
    for (ModelFile& file : ListModelFiles()) {
      if (file.here && file.known != nullptr) files.push_back(std::move(file));
    }
    return files;
  }

  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<Command> MakeModelsVerifyCommand() {
  return std::make_unique<ModelsVerifyCommand>();
}

}  // namespace nearfar::cli
