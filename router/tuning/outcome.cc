#include "router/tuning/outcome.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace nearfar {
namespace {

using Json = nlohmann::ordered_json;

// Four significant digits are far below the noise of a feature and keep the files small.
double Short(double value) {
  if (value == 0 || !std::isfinite(value)) return 0;
  const double unit = std::pow(10.0, std::floor(std::log10(std::abs(value))) - 4);
  return std::round(value / unit) * unit;
}

Json Numbers(const std::vector<double>& values) {
  Json list = Json::array();
  for (double value : values) list.push_back(std::stod(absl::StrCat(Short(value))));
  return list;
}

Json SideJson(const SideOutcome& side, bool with_text) {
  Json json = {{"name", side.name},
               {"score", side.score},
               {"usd", side.usd},
               {"seconds", std::round(side.seconds * 1000) / 1000},
               {"tokens", side.tokens}};
  if (side.kv_type != SideOutcome().kv_type) json["kv_type"] = side.kv_type;
  if (!side.features.empty()) json["features"] = Numbers(side.features);
  if (!side.prefixes.empty()) {
    json["prefixes"] = Json::array();
    for (const std::vector<double>& prefix : side.prefixes) {
      json["prefixes"].push_back(Numbers(prefix));
    }
  }
  if (with_text) json["text"] = side.text;
  return json;
}

absl::StatusOr<std::vector<double>> ReadNumbers(const Json& json, const std::string& field) {
  if (!json.is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": not a list of numbers"));
  }
  std::vector<double> values;
  for (const Json& value : json) {
    if (!value.is_number() || !std::isfinite(value.get<double>())) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, "[", values.size(), "]: not a finite number"));
    }
    values.push_back(value.get<double>());
  }
  return values;
}

// side->features and side->prefixes, where the object has them.
absl::Status ReadFeatures(const Json& json, const char* name, SideOutcome* side) {
  if (json.contains("features")) {
    auto features = ReadNumbers(json["features"], absl::StrCat(name, ".features"));
    if (!features.ok()) return features.status();
    side->features = *std::move(features);
  }
  if (!json.contains("prefixes")) return absl::OkStatus();
  const std::string field = absl::StrCat(name, ".prefixes");
  if (!json["prefixes"].is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": not a list of lists of numbers"));
  }
  for (const Json& json_prefix : json["prefixes"]) {
    auto prefix = ReadNumbers(json_prefix, absl::StrCat(field, "[", side->prefixes.size(), "]"));
    if (!prefix.ok()) return prefix.status();
    side->prefixes.push_back(*std::move(prefix));
  }
  return absl::OkStatus();
}

absl::StatusOr<SideOutcome> ReadSide(const Json& json, const char* name) {
  if (!json.is_object()) return absl::InvalidArgumentError(absl::StrCat(name, ": not an object"));
  SideOutcome side;
  if (!json.contains("score") || !json["score"].is_number()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ".score: a number in [0, 1] is missing"));
  }
  side.score = json["score"].get<double>();
  if (!(side.score >= 0 && side.score <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ".score: outside [0, 1]"));
  }
  auto number = [&](const char* field, double absent) {
    return json.contains(field) && json[field].is_number() ? json[field].get<double>() : absent;
  };
  side.usd = number("usd", 0);
  side.seconds = number("seconds", 0);
  const double tokens = number("tokens", 0);
  if (!(tokens >= 0 && tokens <= 1e9)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ".tokens: not a count"));
  }
  side.tokens = static_cast<int>(tokens);
  if (json.contains("name") && json["name"].is_string()) side.name = json["name"];
  if (json.contains("text") && json["text"].is_string()) side.text = json["text"];
  if (json.contains("kv_type")) {
    if (!json["kv_type"].is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(name, ".kv_type: not a string"));
    }
    side.kv_type = json["kv_type"];
  }
  if (absl::Status status = ReadFeatures(json, name, &side); !status.ok()) return status;
  return side;
}

absl::StatusOr<Outcome> ReadOutcome(const std::string& line) {
  const Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) return absl::InvalidArgumentError("not a JSON object");
  Outcome outcome;
  auto text = [&](const char* field) {
    return row.contains(field) && row[field].is_string() ? row[field].get<std::string>() : "";
  };
  outcome.id = text("id");
  outcome.kind = text("kind");
  outcome.template_name = text("template");
  if (outcome.id.empty()) return absl::InvalidArgumentError("id: missing");
  if (row.contains("level") && row["level"].is_number()) outcome.level = row["level"].get<int>();
  if (row.contains("feature_version") && row["feature_version"].is_number()) {
    outcome.feature_version = row["feature_version"].get<int>();
  }
  for (const char* name : {"near", "far"}) {
    if (!row.contains(name)) continue;
    absl::StatusOr<SideOutcome> side = ReadSide(row[name], name);
    if (!side.ok()) return side.status();
    (name[0] == 'n' ? outcome.near : outcome.far) = *std::move(side);
  }
  return outcome;
}

}  // namespace

absl::StatusOr<std::string> KvTypeOfOutcomes(const std::vector<Outcome>& outcomes) {
  std::string type = SideOutcome().kv_type;
  const Outcome* first = nullptr;
  for (const Outcome& outcome : outcomes) {
    if (!outcome.near.has_value()) continue;
    if (first == nullptr) {
      first = &outcome;
      type = outcome.near->kv_type;
    } else if (outcome.near->kv_type != type) {
      return absl::InvalidArgumentError(
          absl::StrCat("the near side kept keys and values as ", type, " in outcome '", first->id,
                       "', and as ", outcome.near->kv_type, " in '", outcome.id,
                       "': a calibration is of one type; collect each into a file of its own"));
    }
  }
  return type;
}

std::string FormatOutcome(const Outcome& outcome, bool with_text) {
  Json row = {{"id", outcome.id}};
  if (!outcome.kind.empty()) row["kind"] = outcome.kind;
  if (!outcome.template_name.empty()) row["template"] = outcome.template_name;
  if (outcome.level > 0) row["level"] = outcome.level;
  row["feature_version"] = outcome.feature_version;
  if (outcome.near) row["near"] = SideJson(*outcome.near, with_text);
  if (outcome.far) row["far"] = SideJson(*outcome.far, with_text);
  return row.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<std::vector<Outcome>> LoadOutcomes(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  std::vector<Outcome> outcomes;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    absl::StatusOr<Outcome> outcome = ReadOutcome(line);
    if (!outcome.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number, ": ", outcome.status().message()));
    }
    outcomes.push_back(*std::move(outcome));
  }
  return outcomes;
}

}  // namespace nearfar
