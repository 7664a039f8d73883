// nearfar models list: what the catalogue knows and what is here.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "router/cli/commands.h"
#include "router/cli/exit_codes.h"
#include "router/cli/model_files.h"
#include "router/cli/table.h"
#include "router/internal/json_writer.h"

namespace nearfar::cli {
namespace {

std::string StateOf(const ModelFile& file) {
  if (!file.here) return file.known->by_default ? "not fetched" : "on request";
  if (file.known == nullptr) return "here, your own";
  return file.bytes == file.known->bytes ? "here" : "wrong size";
}

class ModelsListCommand : public Command {
 public:
  void Declare(CLI::App* app) override { app->add_flag("--json", json_, "Print one JSON array"); }

  int Run(Terminal* terminal) override {
    const std::vector<ModelFile> files = ListModelFiles();
    if (json_) {
      PrintJson(files, terminal);
      return kExitOk;
    }
    Table table({{"model"}, {"size", Table::Align::kRight}, {"licence"}, {"state"}});
    for (const ModelFile& file : files) {
      const int64_t bytes = file.here ? file.bytes : file.known->bytes;
      table.Add({file.name, MebibyteText(bytes), file.known != nullptr ? file.known->licence : "-",
                 StateOf(file)});
    }
    terminal->Print(table.Format(terminal->width()));
    terminal->Note(absl::StrCat("folder: ", ModelsFolder()));
    return kExitOk;
  }

 private:
  static void CatalogueFields(const CatalogueModel& model, internal::JsonWriter* json) {
    json->Field("file", model.file);
    json->Field("sha256", model.sha256);
    json->Field("licence", model.licence);
    json->Field("default", model.by_default);
    json->Key("aliases").BeginArray();
    for (const char* alias : model.aliases) json->Value(alias);
    json->EndArray();
  }

  static void PrintJson(const std::vector<ModelFile>& files, Terminal* terminal) {
    internal::JsonWriter json;
    json.BeginArray();
    for (const ModelFile& file : files) {
      json.BeginObject();
      json.Field("name", file.name);
      json.Field("path", file.path);
      json.Field("here", file.here);
      json.Field("bytes", file.here ? file.bytes : file.known->bytes);
      if (file.known != nullptr) CatalogueFields(*file.known, &json);
      json.EndObject();
    }
    json.EndArray();
    terminal->Line(json.Take());
  }

  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeModelsListCommand() { return std::make_unique<ModelsListCommand>(); }

}  // namespace nearfar::cli
