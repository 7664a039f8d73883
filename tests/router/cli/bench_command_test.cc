// nearfar bench on a tiny model: its shape, and what it refuses. How fast anything is, is no fact.

#include <stdlib.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "router/cli/exit_codes.h"
#include "tests/router/cli/captured_terminal.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace nearfar::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Bench : public ::testing::Test {
 protected:
  void SetUp() override { setenv("NEARFAR_MODELS", models_.path().c_str(), 1); }
  void TearDown() override { unsetenv("NEARFAR_MODELS"); }

  // Of the tiny model, with few tokens.
  ProgramRun Run(const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"bench",  "--model",   model_,      "--threads", "1",
                                      "--runs", "1",         "--prefill", "40",        "--decode",
                                      "4",      "--kernels", "scalar"};
    words.insert(words.end(), more.begin(), more.end());
    return RunNearfar(words);
  }

  testing::TempDir models_;
  const std::string model_ = testing::WriteTinyModel({.tied_embeddings = false});
};

TEST_F(Bench, PrintsEachFigureBesideItsLimit) {
  const ProgramRun run = Run({"--depth", "0,100", "--batch", "2,3"});
  EXPECT_EQ(run.code, kExitOk) << run.err;
  for (const char* text :
       {"_tiny · kernels scalar · 1 thread", "prefill 40 ", "% of the int8 peak",
        "decode 4 at depth 0 ", "decode 4 at depth 100 ", "decode 4 of 2 at once ",
        "decode 4 of 3 at once ", "% of the read bandwidth", "load ", "peak memory ",
        "weights read a token ", "energy ", "int8 peak ", "read bandwidth "}) {
    EXPECT_THAT(run.out, HasSubstr(text));
  }
  EXPECT_THAT(run.err, HasSubstr("one run; attention is left out"));
}

TEST_F(Bench, TellsTheSameAsJson) {
  const ProgramRun run = Run({"--depth", "7,100", "--batch", "3", "--json"});
  EXPECT_EQ(run.code, kExitOk) << run.err;
  for (const char* key : {"\"model\":\"",
                          "\"kernels\":\"scalar\"",
                          "\"threads\":1",
                          "\"kv_type\":\"f16\"",
                          "\"runs\":1",
                          "\"load_s\":",
                          "\"peak_rss_mib\":",
                          "\"weight_bytes\":",
                          "\"prefill_tokens\":40",
                          "\"prefill_tokens_per_s\":",
                          "\"prefill_percent_of_int8_peak\":",
                          "\"decode_tokens\":4",
                          "\"decode_tokens_per_s\":",
                          "\"decode_percent_of_bandwidth\":",
                          "\"decode\":[{\"depth\":7,\"tokens_per_s\":",
                          "},{\"depth\":100,\"tokens_per_s\":",
                          "\"percent_of_bandwidth\":",
                          "\"batches\":[{\"sequences\":3,\"tokens_per_s\":",
                          "\"int8_peak_gops\":",
                          "\"read_bandwidth_gb_per_s\":",
                          "\"joules_per_decode_token\":",
                          "\"threads_in_use\":1",
                          "\"temperature_celsius\":null"}) {
    EXPECT_THAT(run.out, HasSubstr(key));
  }
  // What is not finite is written as null, which these alone may be.
  EXPECT_THAT(absl::StrReplaceAll(run.out, {{"\"joules_per_decode_token\":null", ""},
                                            {"\"temperature_celsius\":null", ""}}),
              Not(HasSubstr("null")));
}

TEST_F(Bench, LeavesOutWhatDoesNotFitTheContextAndSaysSo) {
  const ProgramRun run = Run({"--depth", "2048,30"});
  EXPECT_EQ(run.code, kExitOk) << run.err;
  EXPECT_THAT(run.out, HasSubstr("depth 30 "));
  EXPECT_THAT(run.out, Not(HasSubstr("2048")));
  EXPECT_THAT(run.err, HasSubstr("depth 2048 is left out: it needs 2072 positions, but the context "
                                 "has 512 (the model was trained for 512)"));
}

TEST_F(Bench, WhatFitsNoContextIsWrongUse) {
  const ProgramRun depth = Run({"--depth", "99999"});
  EXPECT_EQ(depth.code, kExitUsage);
  EXPECT_THAT(depth.err, HasSubstr("--depth: needs 100023 positions, but the context has 512"));
  const ProgramRun prefill = Run({"--context", "32"});
  EXPECT_EQ(prefill.code, kExitUsage);
  EXPECT_THAT(prefill.err, HasSubstr("--prefill: needs 40 positions, but the context has 32 "
                                     "(--context N lengthens it, up to 512)"));
  EXPECT_EQ(depth.out + prefill.out, "");
}

TEST_F(Bench, WrongOptionsAreExit64WithAHint) {
  const std::vector<std::vector<std::string>> wrong = {
      {"--threads", "-1"}, {"--threads", "9999"}, {"--prefill", "0"},    {"--decode", "0"},
      {"--depth", "-1"},   {"--depth", "1,x"},    {"--depth"},           {"--runs", "0"},
      {"--runs", "few"},   {"--kernels", "moon"}, {"--depth", "1", "2"}, {"--batch", "0"},
      {"--batch", "65"}};
  for (const std::vector<std::string>& words : wrong) {
    std::vector<std::string> all = {"bench", "--model", model_};
    all.insert(all.end(), words.begin(), words.end());
    const ProgramRun run = RunNearfar(all);
    EXPECT_EQ(run.code, kExitUsage) << ::testing::PrintToString(words);
    EXPECT_THAT(run.err, HasSubstr("(try: nearfar bench --help)"));
    EXPECT_EQ(run.out, "");
  }
}

TEST_F(Bench, AModelThatIsNotHereIsExit66) {
  const ProgramRun run = RunNearfar({"bench", "--model", "no-such-model"});
  EXPECT_EQ(run.code, kExitNoInput);
  EXPECT_THAT(run.err, HasSubstr("nearfar models list"));
}

}  // namespace
}  // namespace nearfar::cli
