#include "router/tuning/question.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

namespace nearfar {
namespace {

using ::testing::HasSubstr;

std::string Write(const std::string& text) {
  const std::string path = testing::TempDir() + "/questions.jsonl";
  std::ofstream(path) << text;
  return path;
}

constexpr char kGood[] = R"({"id":"a","question":"What?","answer":["x","y"],"metric":"contains"})";

TEST(LoadQuestions, ReadsTheProjectsOwn) {
  const auto questions = LoadQuestions(NEARFAR_SOURCE_DIR "/policies/questions/everyday.jsonl");
  ASSERT_TRUE(questions.ok()) << questions.status();
  EXPECT_GE(questions->size(), 300u);
  std::set<std::string> kinds;
  for (const Question& question : *questions) {
    kinds.insert(question.kind);
    EXPECT_FALSE(question.template_name.empty()) << question.id;
    EXPECT_GE(question.level, 1);
  }
  EXPECT_GE(kinds.size(), 12u);
}

TEST(LoadQuestions, NamesLineAndField) {
  const struct {
    const char* line;
    const char* message;
  } kCases[] = {
      {"{", ":2: not a JSON object"},
      {R"({"question":"q","answer":"a","metric":"number"})", ":2: id: missing"},
      {R"({"id":"b","answer":"a","metric":"number"})", ":2: question: missing"},
      {R"({"id":"b","question":"q","metric":"number"})", ":2: answer: missing"},
      {R"({"id":"b","question":"q","answer":3,"metric":"number"})", ":2: answer: a string"},
      {R"({"id":"b","question":"q","answer":"a","metric":"guess"})", "\"guess\" is not known"},
      {R"({"id":"b","question":"q","answer":"a","metric":"label"})", "at least two"},
      {kGood, "\"a\" stands twice"},
  };
  for (const auto& test : kCases) {
    const auto questions = LoadQuestions(Write(std::string(kGood) + "\n" + test.line + "\n"));
    ASSERT_FALSE(questions.ok()) << test.line;
    EXPECT_THAT(std::string(questions.status().message()), HasSubstr(test.message));
  }
}

TEST(LoadQuestions, RefusesMissingAndEmptyFiles) {
  EXPECT_EQ(LoadQuestions("/nowhere/at.all").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(LoadQuestions(Write("\n \n")).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace nearfar
