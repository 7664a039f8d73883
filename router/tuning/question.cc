#include "router/tuning/question.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "absl/strings/str_cat.h"

namespace nearfar {
namespace {

using Json = nlohmann::json;

absl::StatusOr<Metric> ParseMetric(const std::string& name) {
  for (Metric metric : {Metric::kNumber, Metric::kContains, Metric::kLabel, Metric::kCode}) {
    if (name == MetricName(metric)) return metric;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("metric: \"", name, "\" is not known (number, contains, label or code)"));
}

// A string, or a list of strings.
absl::StatusOr<std::vector<std::string>> Strings(const Json& row, const char* field) {
  std::vector<std::string> values;
  const auto it = row.find(field);
  if (it == row.end()) return values;
  if (it->is_string()) return std::vector<std::string>{it->get<std::string>()};
  if (!it->is_array()) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": a string or a list of strings"));
  }
  for (const Json& item : *it) {
    if (!item.is_string()) {
      return absl::InvalidArgumentError(absl::StrCat(field, ": every item is a string"));
    }
    values.push_back(item.get<std::string>());
  }
  return values;
}

std::string StringField(const Json& row, const char* field) {
  const auto it = row.find(field);
  return it != row.end() && it->is_string() ? it->get<std::string>() : "";
}

absl::StatusOr<Question> ParseQuestion(const std::string& line) {
  const Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) return absl::InvalidArgumentError("not a JSON object");
  Question question;
  question.id = StringField(row, "id");
  question.text = StringField(row, "question");
  question.kind = StringField(row, "kind");
  question.template_name = StringField(row, "template");
  if (row.contains("level") && row["level"].is_number_integer()) {
    question.level = row["level"].get<int>();
  }
  if (question.id.empty()) return absl::InvalidArgumentError("id: missing");
  if (question.text.empty()) return absl::InvalidArgumentError("question: missing");
  absl::StatusOr<Metric> metric = ParseMetric(StringField(row, "metric"));
  if (!metric.ok()) return metric.status();
  question.metric = *metric;
  absl::StatusOr<std::vector<std::string>> accepted = Strings(row, "answer");
  if (!accepted.ok()) return accepted.status();
  if (accepted->empty()) return absl::InvalidArgumentError("answer: missing");
  question.accepted = *std::move(accepted);
  absl::StatusOr<std::vector<std::string>> labels = Strings(row, "labels");
  if (!labels.ok()) return labels.status();
  question.labels = *std::move(labels);
  if (question.metric == Metric::kLabel && question.labels.size() < 2) {
    return absl::InvalidArgumentError("labels: metric label needs at least two");
  }
  return question;
}

}  // namespace

const char* MetricName(Metric metric) {
  switch (metric) {
    case Metric::kNumber:
      return "number";
    case Metric::kContains:
      return "contains";
    case Metric::kLabel:
      return "label";
    case Metric::kCode:
      return "code";
  }
  return "unknown";
}

absl::StatusOr<std::vector<Question>> LoadQuestions(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  std::vector<Question> questions;
  std::unordered_set<std::string> ids;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    absl::StatusOr<Question> question = ParseQuestion(line);
    if (!question.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number, ": ", question.status().message()));
    }
    if (!ids.insert(question->id).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number, ": id: \"", question->id, "\" stands twice"));
    }
    questions.push_back(*std::move(question));
  }
  if (questions.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": holds no question"));
  }
  return questions;
}

}  // namespace nearfar
