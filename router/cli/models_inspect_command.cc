// nearfar models inspect: what a GGUF file holds, as it is parsed and checked here.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "local_engine/gguf/gguf_file.h"
#include "local_engine/quant/formats.h"
#include "local_engine/tokenizer/chat_template.h"
#include "local_engine/tokenizer/tokenizer.h"
#include "router/cli/commands.h"
#include "router/cli/exit_codes.h"
#include "router/cli/model_files.h"
#include "router/cli/table.h"
#include "router/internal/json_writer.h"

namespace nearfar::cli {
namespace {

std::string TypeName(DType dtype) {
  const QuantFormat* format = FindFormat(dtype);
  return format != nullptr ? format->name : absl::StrCat("type ", static_cast<uint32_t>(dtype));
}

// An array is told by its length; a string is quoted and later cut by the table.
std::string ValueText(const GgufFile& file, const GgufEntry& entry) {
  const GgufValue& value = entry.value;
  switch (value.type) {
    case GgufType::kString:
      return std::string(file.GetString(entry.key).value_or(""));
    case GgufType::kArray:
      return absl::StrCat("[", value.count, " x ", GgufTypeName(value.element_type), "]");
    case GgufType::kBool:
      return file.GetBool(entry.key).value_or(false) ? "true" : "false";
    case GgufType::kFloat32:
    case GgufType::kFloat64:
      return absl::StrFormat("%g", file.GetFloat(entry.key).value_or(0));
    default:
      return absl::StrCat(file.GetInt(entry.key).value_or(0));
  }
}

struct TypeShare {
  int count = 0;
  int64_t elements = 0, bytes = 0;
};

std::map<std::string, TypeShare> SharesOf(const GgufFile& file) {
  std::map<std::string, TypeShare> shares;
  for (const GgufTensor& tensor : file.tensors()) {
    TypeShare& share = shares[TypeName(tensor.dtype)];
    ++share.count;
    share.elements += tensor.columns() * tensor.rows();
    share.bytes += tensor.bytes;
  }
  return shares;
}

// What the engine makes of the file beyond its bytes.
struct Readings {
  std::string tokenizer, chat_template;
};

Readings ReadingsOf(const GgufFile& file) {
  Readings readings;
  const auto tokenizer = MakeTokenizer(file);
  if (!tokenizer.ok()) {
    readings.tokenizer = absl::StrCat("not usable: ", tokenizer.status().message());
    return readings;
  }
  const std::string model(file.GetString("tokenizer.ggml.model").value_or("?"));
  const std::string pre(file.GetString("tokenizer.ggml.pre").value_or("default"));
  readings.tokenizer = absl::StrCat(model, "/", pre, ", ", (*tokenizer)->vocabulary(), " tokens, ",
                                    (*tokenizer)->begin_id() < 0
                                        ? "no begin token"
                                        : absl::StrCat("begin token ", (*tokenizer)->begin_id()));
  const auto chat_template = MakeChatTemplate(file, **tokenizer);
  readings.chat_template = chat_template.ok()
                               ? std::string((*chat_template)->name())
                               : absl::StrCat("none: ", chat_template.status().message());
  return readings;
}

std::string ShapeText(const GgufTensor& tensor) { return absl::StrJoin(tensor.shape, " x "); }

class ModelsInspectCommand : public Command {
 public:
  void Declare(CLI::App* app) override {
    app->add_option("model", model_, "A catalogue name, a file name or a path")->required();
    app->add_flag("--tensors", tensors_, "List every tensor");
    app->add_flag("--json", json_, "Print one JSON object");
  }

  int Run(Terminal* terminal) override {
    const absl::StatusOr<std::string> path = FindModelFile(model_);
    if (!path.ok()) return terminal->Fail(path.status());
    const auto file = GgufFile::Open(*path);
    if (!file.ok()) {
      const bool named = absl::StrContains(file.status().message(), *path);
      terminal->Error(
          absl::StrCat(named ? "" : absl::StrCat(*path, ": "), file.status().message()));
      return ExitCodeOf(file.status());
    }
    json_ ? PrintJson(*path, **file, terminal) : PrintText(*path, **file, terminal);
    return kExitOk;
  }

 private:
  void PrintText(const std::string& path, const GgufFile& file, Terminal* terminal) const {
    const Readings readings = ReadingsOf(file);
    terminal->Line(absl::StrCat(terminal->Painted(Paint::kBold, path), "\nGGUF version ",
                                file.version(), ", ", MebibyteText(file.file_bytes()),
                                ", fingerprint ", file.Fingerprint().substr(0, 16)));
    terminal->Line(absl::StrCat("tokenizer      ", readings.tokenizer));
    terminal->Line(absl::StrCat("chat template  ", readings.chat_template, "\n"));
    PrintMetadata(file, terminal);
    PrintShares(file, terminal);
    if (tensors_) PrintTensors(file, terminal);
  }

  static void PrintMetadata(const GgufFile& file, Terminal* terminal) {
    Table table({{"metadata", Table::Align::kLeft, 44},
                 {"type"},
                 {"value", Table::Align::kLeft, 40, true}});
    for (const GgufEntry& entry : file.entries()) {
      table.Add({WithoutControls(std::string(entry.key)), GgufTypeName(entry.value.type),
                 WithoutControls(ValueText(file, entry))});
    }
    terminal->Line(table.Format(terminal->width()));
  }

  static void PrintShares(const GgufFile& file, Terminal* terminal) {
    const auto right = Table::Align::kRight;
    Table table({{"tensor type"},
                 {"tensors", right},
                 {"elements", right},
                 {"bytes", right},
                 {"bits each", right},
                 {"share", right}});
    const std::map<std::string, TypeShare> shares = SharesOf(file);
    TypeShare all;
    for (const auto& [type, share] : shares) {
      all.count += share.count;
      all.elements += share.elements;
      all.bytes += share.bytes;
    }
    const auto add = [&](const std::string& name, const TypeShare& share) {
      table.Add(
          {name, absl::StrCat(share.count), absl::StrCat(share.elements), absl::StrCat(share.bytes),
           absl::StrFormat("%.2f", 8.0 * share.bytes / std::max<int64_t>(1, share.elements)),
           absl::StrFormat("%.1f %%", 100.0 * share.bytes / std::max<int64_t>(1, all.bytes))});
    };
    for (const auto& [type, share] : shares) add(type, share);
    add("all", all);
    terminal->Print(table.Format(terminal->width()));
  }

  static void PrintTensors(const GgufFile& file, Terminal* terminal) {
    Table table({{"tensor", Table::Align::kLeft, 60},
                 {"type"},
                 {"shape"},
                 {"bytes", Table::Align::kRight}});
    for (const GgufTensor& tensor : file.tensors()) {
      table.Add({WithoutControls(std::string(tensor.name)), TypeName(tensor.dtype),
                 ShapeText(tensor), absl::StrCat(tensor.bytes)});
    }
    terminal->Print(absl::StrCat("\n", table.Format(terminal->width())));
  }

  void PrintJson(const std::string& path, const GgufFile& file, Terminal* terminal) const {
    const Readings readings = ReadingsOf(file);
    internal::JsonWriter json;
    json.BeginObject();
    json.Field("path", path);
    json.Field("version", static_cast<int64_t>(file.version()));
    json.Field("bytes", file.file_bytes());
    json.Field("fingerprint", file.Fingerprint());
    json.Field("tokenizer", readings.tokenizer);
    json.Field("chat_template", readings.chat_template);
    json.Key("metadata").BeginObject();
    for (const GgufEntry& entry : file.entries()) {
      json.Field(entry.key, ValueText(file, entry));
    }
    json.EndObject();
    json.Key("types").BeginObject();
    for (const auto& [type, share] : SharesOf(file)) {
      json.Key(type).BeginObject();
      json.Field("tensors", share.count);
      json.Field("elements", share.elements);
      json.Field("bytes", share.bytes);
      json.EndObject();
    }
    json.EndObject();
    if (tensors_) TensorsJson(file, &json);
    json.EndObject();
    terminal->Line(json.Take());
  }

  static void TensorsJson(const GgufFile& file, internal::JsonWriter* json) {
    json->Key("tensors").BeginArray();
    for (const GgufTensor& tensor : file.tensors()) {
      json->BeginObject();
      json->Field("name", tensor.name);
      json->Field("type", TypeName(tensor.dtype));
      json->Key("shape").BeginArray();
      for (int64_t dimension : tensor.shape) json->Value(dimension);
      json->EndArray();
      json->Field("bytes", tensor.bytes);
      json->EndObject();
    }
    json->EndArray();
  }

  std::string model_;
  bool tensors_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeModelsInspectCommand() {
  return std::make_unique<ModelsInspectCommand>();
}

}  // namespace nearfar::cli
