// Questions with checkable answers, one JSON object a line: id, question, answer, metric, and
// optionally kind, level, template, labels, choices (policies/questions/everyday.jsonl is one such
// file; scripts/make_questions.py wrote it). Held by tests/router/tuning/question_test.cc.

#ifndef NEARFAR_ROUTER_TUNING_QUESTION_H_
#define NEARFAR_ROUTER_TUNING_QUESTION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace nearfar {

// How a reply is judged.
enum class Metric {
  kNumber,    // the last number of the reply equals the answer
  kContains,  // an accepted word or phrase stands in the reply, whole and in any case
  kLabel,     // the first of the labels that occurs in the reply is the answer
  kCode,      // the reply without white space contains an accepted piece
};
const char* MetricName(Metric metric);

struct Question {
  std::string id;
  std::string kind;           // "" if the file does not say
  std::string template_name;  // questions of one template are never split between fit and test
  int level = 0;
  std::string text;
  Metric metric = Metric::kContains;
  std::vector<std::string> accepted;  // at least one
  std::vector<std::string> labels;    // of kLabel
};

// Errors: NotFound; InvalidArgument "file:line: field: what is wrong" for the first bad line.
absl::StatusOr<std::vector<Question>> LoadQuestions(const std::string& path);

}  // namespace nearfar

#endif  // NEARFAR_ROUTER_TUNING_QUESTION_H_
